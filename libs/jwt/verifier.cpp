#include "jwt/verifier.h"

#include <array>
#include <limits>

#include <nlohmann/json.hpp>

#include "base/base64.h"

namespace higgs::jwt {
namespace {

using Json = nlohmann::json;

struct Parts {
  std::string_view header, payload, signature;
  std::string_view signed_text;  ///< header "." payload
};

std::optional<Parts> split(std::string_view token) {
  if (token.size() > kMaxTokenBytes) return std::nullopt;
  const auto first = token.find('.');
  const auto second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) return std::nullopt;
  return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1),
               token.substr(0, second)};
}

/// kMaxTokenBytes bounds the nesting too.
std::optional<Json> object_of(std::string_view encoded) {
  const auto bytes = from_base64url(encoded);
  if (!bytes) return std::nullopt;
  Json json = Json::parse(as_text(*bytes), nullptr, false);
  if (!json.is_object()) return std::nullopt;
  return json;
}

std::optional<std::string> text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

/// RFC 7519, 2: NumericDate may have a fraction; we neither write nor take one.
std::optional<std::int64_t> time_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto value = found->get<std::uint64_t>();
  // Room for the skew to be added.
  if (value > std::numeric_limits<std::uint32_t>::max() * std::uint64_t{64}) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

std::optional<Claims> claims_of(const Json& payload) {
  const auto audience_name = text_of(payload, "aud");
  const auto audience = audience_name ? parse_audience(*audience_name) : std::nullopt;
  const auto issuer = text_of(payload, "iss"), subject = text_of(payload, "sub"), role = text_of(payload, "role"),
             id = text_of(payload, "jti");
  const auto issued = time_of(payload, "iat"), not_before = time_of(payload, "nbf"), expires = time_of(payload, "exp");
  if (!audience || !issuer || !subject || !role || !id || id->empty() || !issued || !not_before || !expires)
    return std::nullopt;
  return Claims{
      *issuer, *subject, *audience, *role, *issued, *not_before, *expires, *id, text_of(payload, "fam").value_or("")};
}

}  // namespace

Result<Claims> verify(std::string_view token, const KeySet& keys, std::string_view issuer, Audience audience,
                      WallTime now) {
  const auto parts = split(token);
  if (!parts) return TokenError::kMalformed;
  const auto header = object_of(parts->header);
  const auto signature = from_base64url(parts->signature);
  if (!header || !signature) return TokenError::kMalformed;
  // RFC 7515, 4.1.11: what `crit` lists must be understood, and nothing is.
  if (text_of(*header, "alg") != "EdDSA" || header->contains("crit")) return TokenError::kAlgorithm;
  const auto key_id = text_of(*header, "kid");
  const auto* key = key_id ? keys.find(*key_id) : nullptr;
  if (!key) return TokenError::kUnknownKey;
  if (!crypto::ed25519_verify(*key, as_bytes(parts->signed_text), *signature)) return TokenError::kBadSignature;

  const auto payload = object_of(parts->payload);
  if (!payload) return TokenError::kMalformed;
  auto claims = claims_of(*payload);
  if (!claims) {
    const auto name = text_of(*payload, "aud");
    return name && !parse_audience(*name) ? TokenError::kAudience : TokenError::kBadClaims;
  }
  if (const auto fit = check_claims(*claims, issuer, audience, now); !fit) return fit.error();
  return std::move(*claims);
}

Result<void> check_claims(const Claims& claims, std::string_view issuer, Audience audience, WallTime now) {
  if (!issuer.empty() && claims.issuer != issuer) return TokenError::kIssuer;
  if (claims.audience != audience) return TokenError::kAudience;
  const auto seconds = unix_seconds(now);
  if (seconds >= claims.expires_at + kClockSkew.count()) return TokenError::kExpired;
  if (seconds + kClockSkew.count() < claims.not_before) return TokenError::kNotYetValid;
  return {};
}

Result<Claims> read_unverified(std::string_view token) {
  const auto parts = split(token);
  const auto payload = parts ? object_of(parts->payload) : std::nullopt;
  auto claims = payload ? claims_of(*payload) : std::nullopt;
  if (!claims) return TokenError::kMalformed;
  return std::move(*claims);
}

std::optional<std::string_view> bearer_token(std::string_view authorization) {
  // RFC 9110, 11.1: the scheme's name has no case.
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() <= kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return std::nullopt;
  }
  return authorization.substr(kScheme.size());
}

}  // namespace higgs::jwt

HIGGS_ERROR_CATEGORY(higgs::jwt, TokenError, "jwt") {
  using Error = higgs::jwt::TokenError;
  switch (error) {
    case Error::kMalformed:
      return "the token is malformed";
    case Error::kAlgorithm:
      return "the token is not signed with EdDSA";
    case Error::kUnknownKey:
      return "the token is signed with a key that is not known here";
    case Error::kBadSignature:
      return "the token's signature is wrong";
    case Error::kBadClaims:
      return "the token lacks a claim";
    case Error::kIssuer:
      return "the token is another issuer's";
    case Error::kAudience:
      return "the token is for another use";
    case Error::kExpired:
      return "the token has expired";
    case Error::kNotYetValid:
      return "the token is not valid yet";
  }
  return "unknown error";
}
