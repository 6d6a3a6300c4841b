// The protocol of Redis (RESP2) as values: commands are written and replies are read by hiredis, within limits of ours.
// Replies come from the network: whatever they hold is an error at worst. Sans-IO.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace higgs::boson {

enum class RedisError {
  kUnavailable = 1,  ///< known to be away: told at once, without waiting
  kTimedOut,         ///< did not answer in time; the connection is given up
  kRefused,          ///< answered with an error
  kProtocol,         ///< answered with what is no reply, or none to this command; the connection is given up
  kTooLarge,         ///< a command or a reply over its limit
  kQueueFull,
  kLogin,  ///< user, password or database are not accepted
};

struct RedisReply {
  enum class Kind { kNil, kInteger, kText, kStatus, kError, kArray };
  Kind kind = Kind::kNil;
  std::int64_t integer = 0;
  std::string text;  ///< of kText, kStatus, kError
  std::vector<RedisReply> elements;
};

/// What replies to a command look like; another is as good as garbage. Errors of Redis (kError) are told apart before.
using RedisShape = bool (*)(const RedisReply&);
bool is_status(const RedisReply& reply) noexcept;
bool is_integer(const RedisReply& reply) noexcept;
bool is_text_or_nil(const RedisReply& reply) noexcept;
bool is_pair_of_integers(const RedisReply& reply) noexcept;
/// An array of texts and nils.
bool is_list(const RedisReply& reply) noexcept;

struct RedisReplyLimits {
  std::size_t bytes = std::size_t{8} * 1024 * 1024;  ///< of one reply, both on the wire and in memory
};

/// The words of a command, ready to be sent.
std::string encode_command(const std::vector<std::string>& words);

/// Cuts a stream into replies. After an error it stays in error.
class RedisReplyReader {
 public:
  explicit RedisReplyReader(RedisReplyLimits limits = {});
  ~RedisReplyReader();
  RedisReplyReader(const RedisReplyReader&) = delete;
  RedisReplyReader& operator=(const RedisReplyReader&) = delete;

  void put(ByteView bytes);
  /// nullopt: it needs more bytes. kProtocol, kTooLarge.
  Result<std::optional<RedisReply>> next();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::boson

HIGGS_ERROR_ENUM(higgs::boson, RedisError)
