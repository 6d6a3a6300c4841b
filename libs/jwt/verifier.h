// Checks tokens: form and size, algorithm EdDSA and nothing else (RFC 8725, 3.1), a key id of the set, signature,
// issuer, audience, exp, nbf and jti. The clock is an argument. Any thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "jwt/claims.h"
#include "jwt/key_set.h"

namespace higgs::jwt {

enum class TokenError {
  kMalformed = 1,  ///< not three parts of base64url JSON, or over kMaxTokenBytes
  kAlgorithm,      ///< anything but EdDSA, or a header that demands extensions (`crit`)
  kUnknownKey,
  kBadSignature,
  kBadClaims,  ///< a claim is missing or mistyped
  kIssuer,
  kAudience,
  kExpired,
  kNotYetValid,
};

inline constexpr std::size_t kMaxTokenBytes = 4096;
inline constexpr std::chrono::seconds kClockSkew{30};

/// `issuer` empty: any.
Result<Claims> verify(std::string_view token, const KeySet& keys, std::string_view issuer, Audience audience,
                      WallTime now);

/// The part of verify() that changes with the time and the use: for claims of a token whose signature was checked.
Result<void> check_claims(const Claims& claims, std::string_view issuer, Audience audience, WallTime now);

/// The expiry that a token states, without checking anything: for its holder, to know when to renew.
Result<Claims> read_unverified(std::string_view token);

/// The token of `Authorization: Bearer …` (RFC 6750, 2.1); nullopt for any other scheme.
std::optional<std::string_view> bearer_token(std::string_view authorization);

}  // namespace higgs::jwt

HIGGS_ERROR_ENUM(higgs::jwt, TokenError)
