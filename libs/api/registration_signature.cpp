#include "api/registration_signature.h"

#include <algorithm>

#include "base/base64.h"
#include "base/number.h"
#include "crypto/hash.h"

namespace higgs::api {
namespace {

constexpr std::string_view kRegistrationPrefix = "higgs-register-v1";

Bytes signed_bytes(std::string_view origin, std::string_view nonce, std::string_view raw_body) {
  ByteWriter out;
  out.bytes(as_bytes(kRegistrationPrefix));
  out.bytes(as_bytes(origin));
  out.bytes(as_bytes(nonce));
  out.bytes(crypto::sha256(as_bytes(raw_body)));
  return std::move(out).take();
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

}  // namespace

std::optional<std::string> origin_of(std::string_view url) {
  const auto scheme_end = url.find("://");
  if (scheme_end == url.npos || url.size() > 2048) return std::nullopt;
  std::string scheme(url.substr(0, scheme_end));
  std::string authority(url.substr(scheme_end + 3));
  authority.resize(std::min(authority.find_first_of("/?#"), authority.size()));
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), lower);
  std::transform(authority.begin(), authority.end(), authority.begin(), lower);
  if (scheme != "https" && scheme != "wss") return std::nullopt;

  std::string host = authority, port = "443";
  const auto bracket = authority.rfind(']');
  const auto colon = authority.rfind(':');
  if (colon != authority.npos && (bracket == authority.npos || colon > bracket)) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  const auto number = parse_number<std::uint16_t>(port);
  if (!number || *number == 0) return std::nullopt;
  if (host.starts_with('[')) {
    const auto address = host.ends_with(']') ? IpAddress::parse(host.substr(1, host.size() - 2)) : std::nullopt;
    if (!address || !address->is_v6()) return std::nullopt;
    host = "[" + address->to_string() + "]";
  } else if (host.empty() || !std::all_of(host.begin(), host.end(), is_host_character)) {
    return std::nullopt;
  }
  return "https://" + host + ":" + std::to_string(*number);
}

std::string sign_registration(const crypto::Ed25519PrivateKey& identity, std::string_view origin,
                              std::string_view nonce, std::string_view raw_body) {
  return to_base64(crypto::ed25519_sign(identity, signed_bytes(origin, nonce, raw_body)));
}

bool verify_registration(const crypto::Ed25519PublicKey& identity, std::string_view header, std::string_view origin,
                         std::string_view nonce, std::string_view raw_body) {
  const auto signature = from_base64(header);
  if (!signature || signature->size() != crypto::Ed25519Signature{}.size() || nonce.size() != kNonceCharacters)
    return false;
  return crypto::ed25519_verify(identity, signed_bytes(origin, nonce, raw_body), *signature);
}

}  // namespace higgs::api
