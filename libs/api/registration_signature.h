// The proof in the header `Higgs-Signature` of POST /api/v1/nodes/register: base64 of an Ed25519 signature, by the
// node's identity key, over
//
//   "higgs-register-v1" ‖ origin of the server ‖ nonce, as text ‖ SHA-256(raw body) (32)
//
// The origin (RFC 6454, "https://host:port", the port always written) keeps a hostile server from passing a
// registration on to another; the nonce has a fixed length, so that the parts cannot be read in two ways.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "crypto/ed25519.h"

namespace higgs::api {

inline constexpr std::string_view kSignatureHeader = "Higgs-Signature";
inline constexpr std::size_t kNonceBytes = 32;  ///< random; written in base64url
inline constexpr std::size_t kNonceCharacters = 43;

/// The origin of an https:// or wss:// URL: lower case, with the port. nullopt if it is none.
std::optional<std::string> origin_of(std::string_view url);

std::string sign_registration(const crypto::Ed25519PrivateKey& identity, std::string_view origin,
                              std::string_view nonce, std::string_view raw_body);
bool verify_registration(const crypto::Ed25519PublicKey& identity, std::string_view header, std::string_view origin,
                         std::string_view nonce, std::string_view raw_body);

}  // namespace higgs::api
