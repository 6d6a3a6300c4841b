#include "bosonserver/api/verified_tokens.h"

#include <utility>

#include "jwt/verifier.h"

namespace higgs::boson {

Result<jwt::Claims> VerifiedTokens::verify(std::string_view token, const std::shared_ptr<const jwt::KeySet>& keys,
                                           std::string_view issuer, jwt::Audience audience, WallTime now) {
  const auto digest = crypto::sha256(as_bytes(token));
  if (const auto known = find(digest, keys)) {
    const auto fit = jwt::check_claims(*known, issuer, audience, now);
    if (!fit) return fit.error();
    return *known;
  }
  auto claims = jwt::verify(token, *keys, issuer, audience, now);
  if (claims) keep(digest, std::make_shared<const jwt::Claims>(*claims), keys);
  return claims;
}

std::shared_ptr<const jwt::Claims> VerifiedTokens::find(const crypto::Sha256Digest& digest,
                                                        const std::shared_ptr<const jwt::KeySet>& keys) {
  const std::lock_guard lock(mutex_);
  if (keys != keys_) return nullptr;
  if (const auto found = recent_.find(digest); found != recent_.end()) return found->second;
  const auto found = older_.find(digest);
  if (found == older_.end()) return nullptr;
  auto claims = std::move(found->second);
  older_.erase(found);
  keep_locked(digest, claims);
  return claims;
}

void VerifiedTokens::keep(const crypto::Sha256Digest& digest, std::shared_ptr<const jwt::Claims> claims,
                          const std::shared_ptr<const jwt::KeySet>& keys) {
  const std::lock_guard lock(mutex_);
  if (keys != keys_) {
    recent_.clear();
    older_.clear();
    keys_ = keys;
  }
  keep_locked(digest, std::move(claims));
}

void VerifiedTokens::keep_locked(const crypto::Sha256Digest& digest, std::shared_ptr<const jwt::Claims> claims) {
  if (recent_.size() >= kGeneration) {
    older_ = std::move(recent_);
    recent_.clear();
  }
  recent_.emplace(digest, std::move(claims));
}

}  // namespace higgs::boson
