#include "net/http_target.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/number.h"

namespace higgs::net {

namespace {

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool is_unreserved(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

bool printable_ascii(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

/// Registered names as certificates and DNS know them; IP literals are told apart before.
bool is_host_name(std::string_view host) noexcept {
  return !host.empty() && host.size() <= 253 &&
         std::all_of(host.begin(), host.end(), [](char c) { return is_unreserved(c) && c != '~'; });
}

struct Scheme {
  std::string_view name;
  std::uint16_t port;
};
constexpr Scheme kSchemes[] = {{"https", 443}, {"http", 80}, {"wss", 443}, {"ws", 80}};

/// Splits "host", "host:port", "[v6]", "[v6]:port".
bool split_authority(std::string_view authority, HttpUrl& url) {
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == authority.npos) return false;
    url.host = authority.substr(1, end - 1);
    const auto address = IpAddress::parse(url.host);
    if (!address || !address->is_v6()) return false;
    const auto rest = authority.substr(end + 1);
    if (!rest.empty() && !rest.starts_with(':')) return false;
    port = rest.empty() ? rest : rest.substr(1);
    url.authority = authority.substr(0, end + 1);
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (!is_host_name(url.host)) return false;
    if (colon != authority.npos) port = authority.substr(colon + 1);
    url.authority = url.host;
  }
  if (port.empty()) return true;
  const auto number = parse_number<std::uint16_t>(port);
  if (!number || *number == 0) return false;
  if (*number != std::exchange(url.port, *number)) url.authority.append(":").append(std::to_string(url.port));
  return true;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text, bool plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (plus && c == '+') {
      c = ' ';
    }
    if (is_control(c)) return std::nullopt;
    out += c;
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c)) {
      out += c;
      continue;
    }
    const auto value = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[value >> 4];
    out += kDigits[value & 15];
  }
  return out;
}

std::optional<HttpTarget> parse_target(std::string_view target) {
  if (!target.starts_with('/') || !printable_ascii(target) || target.find('#') != target.npos) return std::nullopt;
  HttpTarget out;
  const auto mark = target.find('?');
  auto path = percent_decode(target.substr(0, mark), false);
  if (!path) return std::nullopt;
  out.path = std::move(*path);
  if (mark == target.npos) return out;
  std::string_view rest = target.substr(mark + 1);
  while (!rest.empty()) {
    const auto end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (pair.empty()) continue;
    if (out.query.size() == kQueryParameters) return std::nullopt;
    const auto equals = pair.find('=');
    auto name = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(equals == pair.npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!name || !value) return std::nullopt;
    out.query.emplace_back(std::move(*name), std::move(*value));
  }
  return out;
}

std::optional<HttpUrl> parse_url(std::string_view text) {
  if (!printable_ascii(text)) return std::nullopt;
  std::string lowered(text.substr(0, text.find("://") == text.npos ? 0 : text.find("://")));
  std::transform(lowered.begin(), lowered.end(), lowered.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto scheme =
      std::find_if(std::begin(kSchemes), std::end(kSchemes), [&](const Scheme& s) { return s.name == lowered; });
  if (scheme == std::end(kSchemes)) return std::nullopt;

  HttpUrl url;
  url.scheme = lowered;
  url.port = scheme->port;
  std::string_view rest = text.substr(lowered.size() + 3);
  rest = rest.substr(0, rest.find('#'));
  const auto end = rest.find_first_of("/?");
  std::string authority(rest.substr(0, end));
  std::transform(authority.begin(), authority.end(), authority.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (!split_authority(authority, url)) return std::nullopt;
  if (end != rest.npos) url.target = rest.substr(end);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  return url;
}

}  // namespace higgs::net
