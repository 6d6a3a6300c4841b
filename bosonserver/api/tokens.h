// The tokens that the server gives out, and what each of them is good for.
#pragma once

#include <string>

#include "base/result.h"
#include "bosonserver/api/services.h"
#include "jwt/verifier.h"

namespace higgs::boson {

inline constexpr std::string_view kIssuer = "bosonserver";
inline constexpr std::string_view kNodeRole = "node";
inline constexpr std::string_view kClientRole = "client";
inline constexpr std::string_view kServerRole = "server";

struct Token {
  std::string text;
  std::int64_t expires_at = 0;
};

/// For the API, as this user.
Token access_token(Services& services, const UserRecord& user, const std::string& family, Now now);
/// When tokens end that a node is given now.
std::int64_t node_tokens_end(const Services& services, Now now);
/// For the API, as this node.
Token node_token(Services& services, NodeId node, std::int64_t expires_at, Now now);
/// For this node's link at the relay.
Token node_relay_token(Services& services, NodeId node, std::int64_t expires_at, Now now);
/// For this session's link at the relay, until the session's end.
Token session_token(Services& services, SessionId session, std::int64_t expires_at, Now now);

/// For a link of this server to exactly that other one, and good for a minute.
struct ServerToken {
  std::string text;
  std::int64_t issued_at = 0;
};
ServerToken server_token(Services& services, ServerId peer, Now now);

Result<jwt::Claims> verify_token(Services& services, std::string_view token, jwt::Audience audience, Now now);

/// 256 random bits in base64url: refresh tokens, nonces, invites, API keys.
std::string random_secret(RandomSource& random);
/// How the store knows such a secret.
crypto::Sha256Digest digest_of_secret(std::string_view secret);
/// Before the secret of an API key, so that people and scanners know one when they see it.
inline constexpr std::string_view kApiKeyPrefix = "hk_";

}  // namespace higgs::boson
