// What a token says (RFC 7519). Times are Unix seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace higgs::jwt {

/// What a token is good for; none is good for another use.
enum class Audience { kApi, kNode, kRelay, kServer };
std::string_view to_string(Audience audience);
std::optional<Audience> parse_audience(std::string_view name);

struct Claims {
  std::string issuer;
  std::string subject;  ///< a user's, node's, session's or server's id
  Audience audience = Audience::kApi;
  std::string role;  ///< "user", "operator", "admin" for people; "node", "client", "server" for programs
  std::int64_t issued_at = 0;
  std::int64_t not_before = 0;
  std::int64_t expires_at = 0;
  std::string id;      ///< jti: unique, never empty
  std::string family;  ///< of an access token: the refresh family it came from; else empty
  friend bool operator==(const Claims&, const Claims&) = default;
};

}  // namespace higgs::jwt
