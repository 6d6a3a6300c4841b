// Where Redis is: redis://[user[:password]@]host[:port][/database], rediss:// for TLS. Strict: what would be ignored is
// an error. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace higgs::boson {

enum class RedisUrlError {
  kSyntax = 1,  ///< no URL (RFC 3986), or a part that no Redis has: query, fragment
  kScheme,
  kHost,
  kPort,
  kDatabase,
  kTooLong,
};

struct RedisUrl {
  static constexpr std::uint16_t kDefaultPort = 6379;
  static constexpr unsigned kMaxDatabase = 9'999;
  static constexpr std::size_t kMaxBytes = 1'024;

  bool tls = false;
  std::string host;  ///< lower case, without the brackets of an IPv6 literal
  std::uint16_t port = kDefaultPort;
  std::string user;  ///< empty: Redis' default user
  SecretString password;
  unsigned database = 0;

  /// Errors of RedisUrlError; none repeats the text, which may hold a password.
  static Result<RedisUrl> parse(std::string_view text);
  /// For people: the password is "(hidden)".
  std::string to_string() const;
};

}  // namespace higgs::boson

HIGGS_ERROR_ENUM(higgs::boson, RedisUrlError)
