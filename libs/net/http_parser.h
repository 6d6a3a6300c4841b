// HTTP/1.1 messages taken from bytes as they come (RFC 9112), within limits. Pure: no socket, no clock.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "net/http.h"

namespace higgs::net {

/// "0\r\n\r\n": however much of a chunked body is missing, it is at least this. Beast 1.81 asserts it of what it is
/// given, and a peer must not be able to make it fail by sending less.
inline constexpr std::size_t kLastChunkBytes = 5;

struct HttpParserLimits {
  std::size_t header_bytes = 16 * 1024;
  std::size_t body_bytes = 64 * 1024;
  std::size_t target_bytes = 8 * 1024;
};

/// One request. Feed it what is buffered until it is complete; bytes behind the message stay with the caller.
class HttpRequestParser {
 public:
  enum class State { kHead, kBody, kComplete, kFailed };

  explicit HttpRequestParser(const HttpParserLimits& limits);
  HttpRequestParser(HttpRequestParser&&) noexcept;
  ~HttpRequestParser();

  /// Takes bytes from the front and says how many. 0 with kHead or kBody: more must be buffered behind these first.
  /// Stops behind the head once, so that the caller can act on it (Expect, Upgrade).
  std::size_t put(ByteView bytes);
  State state() const noexcept { return state_; }
  /// The status that answers what was wrong (400, 413, 414, 417, 431, 501, 505) and a sentence; after kFailed.
  unsigned failure() const noexcept { return failure_; }
  std::string_view failure_text() const noexcept { return failure_text_; }

  /// Gives the message up.
  void fail(unsigned status, std::string_view text);

  /// From the end of the head on.
  const HttpRequest& head() const noexcept { return request_; }
  bool keep_alive() const noexcept { return keep_alive_; }
  bool expects_continue() const noexcept { return expects_continue_; }
  /// Once, after kComplete.
  HttpRequest take();

 private:
  void finish_head();
  struct Beast;
  std::unique_ptr<Beast> beast_;
  HttpParserLimits limits_;
  State state_ = State::kHead;
  unsigned failure_ = 0;
  std::string_view failure_text_;
  HttpRequest request_;
  bool keep_alive_ = false;
  bool expects_continue_ = false;
};

/// One response.
class HttpResponseParser {
 public:
  enum class State { kReading, kComplete, kFailed, kTooLarge };

  /// `head`: the answer to a HEAD, which has no body whatever its fields say.
  HttpResponseParser(const HttpParserLimits& limits, bool head);
  HttpResponseParser(HttpResponseParser&&) noexcept;
  ~HttpResponseParser();

  /// As HttpRequestParser::put. Interim answers (1xx but 101) are skipped.
  std::size_t put(ByteView bytes);
  /// The connection ended; completes a body that ends with it.
  void put_end();
  State state() const noexcept { return state_; }
  bool keep_alive() const noexcept { return keep_alive_; }
  HttpResponse take();

 private:
  struct Beast;
  void restart();
  void finish_head();
  void finish();
  std::unique_ptr<Beast> beast_;
  HttpParserLimits limits_;
  bool head_;
  State state_ = State::kReading;
  bool keep_alive_ = false;
  unsigned interim_ = 0;
  HttpResponse response_;
};

}  // namespace higgs::net
