// What follows the method in a request: path and query, decoded (RFC 3986, 2.1; application/x-www-form-urlencoded for
// the query); and URLs as a client is given them. Pure; bad input is std::nullopt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace higgs::net {

inline constexpr std::size_t kQueryParameters = 128;

/// Percent-decoding; a broken escape or a control character in the result is refused. `plus`: "+" means a space.
std::optional<std::string> percent_decode(std::string_view text, bool plus);
/// Escapes everything but the unreserved characters of RFC 3986, 2.3.
std::string percent_encode(std::string_view text);

struct HttpTarget {
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;
};
/// Origin form only: "/path?query".
std::optional<HttpTarget> parse_target(std::string_view target);

struct HttpUrl {
  std::string scheme;      ///< lower case: https, http, wss, ws
  std::string host;        ///< lower case, without the brackets of an IPv6 literal
  std::uint16_t port = 0;  ///< the scheme's own where none is given
  std::string target;      ///< as given, at least "/"
  std::string authority;   ///< for the Host field: the port only where it is not the scheme's
};
/// No user information, no spaces or control characters; a fragment is dropped.
std::optional<HttpUrl> parse_url(std::string_view url);

}  // namespace higgs::net
