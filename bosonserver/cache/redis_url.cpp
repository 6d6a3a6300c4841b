#include "bosonserver/cache/redis_url.h"

#include <algorithm>

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "base/ip.h"
#include "base/number.h"

HIGGS_ERROR_CATEGORY(higgs::boson, RedisUrlError, "boson.redis_url") {
  switch (error) {
    case RedisUrlError::kSyntax:
      return "must be redis://[user[:password]@]host[:port][/database], with special characters escaped as in %40";
    case RedisUrlError::kScheme:
      return "must begin with redis:// or rediss://";
    case RedisUrlError::kHost:
      return "names no host";
    case RedisUrlError::kPort:
      return "has a port that is not from 1 to 65535";
    case RedisUrlError::kDatabase:
      return "has a database that is not a number from 0 to 9999";
    case RedisUrlError::kTooLong:
      return "is longer than 1024 bytes";
  }
  return "unknown error of a Redis URL";
}

namespace higgs::boson {
namespace {

constexpr std::string_view kPlain = "redis", kTls = "rediss";

/// Nothing that could end a line of a log or of the protocol.
bool printable(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

bool is_host_name(std::string_view host) noexcept {
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

Result<std::string> host_of(const boost::urls::url_view& url) {
  std::string host = url.host_address();
  std::transform(host.begin(), host.end(), host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const bool literal_v6 = url.host_type() == boost::urls::host_type::ipv6;
  if (literal_v6 ? !IpAddress::parse(host).has_value() : !is_host_name(host)) return RedisUrlError::kHost;
  return host;
}

}  // namespace

Result<RedisUrl> RedisUrl::parse(std::string_view text) {
  if (text.size() > kMaxBytes) return RedisUrlError::kTooLong;
  const auto parsed = boost::urls::parse_uri(boost::urls::string_view(text.data(), text.size()));
  if (!parsed) {
    const bool ours = text.starts_with("redis://") || text.starts_with("rediss://");
    return ours ? RedisUrlError::kSyntax : RedisUrlError::kScheme;
  }
  const boost::urls::url_view& given = *parsed;
  RedisUrl url;
  const std::string_view scheme(given.scheme().data(), given.scheme().size());
  if (scheme != kPlain && scheme != kTls) return RedisUrlError::kScheme;
  url.tls = scheme == kTls;
  if (!given.has_authority()) return RedisUrlError::kHost;
  if (given.has_query() || given.has_fragment()) return RedisUrlError::kSyntax;
  auto host = host_of(given);
  if (!host) return host.error();
  url.host = std::move(*host);
  if (given.has_port()) url.port = parse_number<std::uint16_t>(given.port()).value_or(0);
  if (url.port == 0) return RedisUrlError::kPort;
  url.user = given.user();
  url.password = SecretString(given.password());
  if (!printable(url.user) || !printable(url.password.reveal())) return RedisUrlError::kSyntax;
  const std::string path = given.path();
  if (path.size() > 1) {
    const auto database = parse_number<unsigned>(std::string_view(path).substr(1));
    if (!database || *database > kMaxDatabase) return RedisUrlError::kDatabase;
    url.database = *database;
  }
  return url;
}

std::string RedisUrl::to_string() const {
  std::string text(tls ? kTls : kPlain);
  text += "://" + user;
  if (!password.empty()) text += ":(hidden)";
  if (!user.empty() || !password.empty()) text += '@';
  text += host.find(':') == host.npos ? host : '[' + host + ']';
  return text + ':' + std::to_string(port) + '/' + std::to_string(database);
}

}  // namespace higgs::boson
