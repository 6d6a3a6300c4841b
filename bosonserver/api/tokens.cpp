#include "bosonserver/api/tokens.h"

#include "base/base64.h"

namespace higgs::boson {
namespace {

constexpr std::int64_t kServerTokenSeconds = 60;

Token make_token(Services& services, jwt::Audience audience, std::string subject, std::string_view role,
                 std::int64_t expires_at, Now now, const std::string& family = {}) {
  jwt::Claims claims;
  claims.issuer = kIssuer;
  claims.subject = std::move(subject);
  claims.audience = audience;
  claims.role = role;
  claims.issued_at = claims.not_before = unix_seconds(now.wall);
  claims.expires_at = expires_at;
  claims.id = Uuid::random(services.random).to_string();
  claims.family = family;
  return {services.keys.sign(claims), expires_at};
}

}  // namespace

Token access_token(Services& services, const UserRecord& user, const std::string& family, Now now) {
  const auto expires_at = unix_seconds(now.wall) + services.settings.access_lifetime.count();
  return make_token(services, jwt::Audience::kApi, to_string(user.id), api::to_string(user.role), expires_at, now,
                    family);
}

std::int64_t node_tokens_end(const Services& services, Now now) {
  return unix_seconds(now.wall) + services.settings.node_lifetime.count();
}

Token node_token(Services& services, NodeId node, std::int64_t expires_at, Now now) {
  return make_token(services, jwt::Audience::kNode, to_string(node), kNodeRole, expires_at, now);
}

Token node_relay_token(Services& services, NodeId node, std::int64_t expires_at, Now now) {
  return make_token(services, jwt::Audience::kRelay, to_string(node), kNodeRole, expires_at, now);
}

Token session_token(Services& services, SessionId session, std::int64_t expires_at, Now now) {
  return make_token(services, jwt::Audience::kRelay, to_string(session), kClientRole, expires_at, now);
}

ServerToken server_token(Services& services, ServerId peer, Now now) {
  const auto issued_at = unix_seconds(now.wall);
  const auto token = make_token(services, jwt::Audience::kServer, to_string(services.server_id), kServerRole,
                                issued_at + kServerTokenSeconds, now, to_string(peer));
  return {token.text, issued_at};
}

Result<jwt::Claims> verify_token(Services& services, std::string_view token, jwt::Audience audience, Now now) {
  return services.keys.verify(token, kIssuer, audience, now.wall);
}

std::string random_secret(RandomSource& random) { return to_base64url(random.array<32>()); }

crypto::Sha256Digest digest_of_secret(std::string_view secret) { return crypto::sha256(as_bytes(secret)); }

}  // namespace higgs::boson
