#include "net/proxies.h"

#include <algorithm>
#include <string_view>

#include "net/http_text.h"

namespace higgs::net {
namespace {

constexpr std::string_view kHeader = "X-Forwarded-For";

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

/// "192.0.2.1", "2001:db8::1", and with a port as some proxies write them: "192.0.2.1:80", "[2001:db8::1]:80".
std::optional<IpAddress> address_of(std::string_view text) {
  if (const auto address = IpAddress::parse(text)) return address->unmapped();
  if (const auto endpoint = Endpoint::parse(text)) return endpoint->address.unmapped();
  if (text.size() > 2 && text.front() == '[' && text.back() == ']')
    return IpAddress::parse(text.substr(1, text.size() - 2));
  return std::nullopt;
}

}  // namespace

bool TrustedProxies::include(const IpAddress& address) const noexcept {
  const auto plain = address.unmapped();
  return std::any_of(networks.begin(), networks.end(), [&plain](const auto& each) { return each.contains(plain); });
}

std::optional<IpAddress> TrustedProxies::client_of(const IpAddress& peer, const HttpHeaders& headers) const {
  if (!end_tls(peer)) return std::nullopt;
  std::optional<IpAddress> client;
  const auto& fields = headers.all();
  // From the nearest proxy's entry, the last, backwards.
  for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
    if (!same_name(field->first, kHeader)) continue;
    std::string_view rest = field->second;
    for (bool more = true; more;) {
      const auto comma = rest.rfind(',');
      more = comma != rest.npos;
      const auto entry = trimmed(more ? rest.substr(comma + 1) : rest);
      if (more) rest = rest.substr(0, comma);
      const auto address = address_of(entry);
      if (!address) return client;  // nobody vouches for what stands before it
      client = address;
      if (!include(*address)) return client;
    }
  }
  return client;
}

}  // namespace higgs::net
