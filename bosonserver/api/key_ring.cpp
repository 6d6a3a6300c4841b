#include "bosonserver/api/key_ring.h"

#include <stdexcept>

#include "base/uuid.h"

namespace higgs::boson {
KeyRing::KeyRing(Store& store, const Sealer& sealer, RandomSource& random, std::chrono::seconds rotation, WallTime now)
    : store_(store), sealer_(sealer), random_(random), rotation_(rotation) {
  const auto ready = refresh(now);
  if (!ready) throw std::runtime_error("cannot use the signing keys: " + ready.error().message());
}

std::string KeyRing::sign(const jwt::Claims& claims) const {
  std::shared_ptr<const jwt::Signer> signer;
  {
    const std::lock_guard lock(mutex_);
    signer = signer_;
  }
  return signer->sign(claims);
}

std::shared_ptr<const jwt::KeySet> KeyRing::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

Result<jwt::Claims> KeyRing::verify(std::string_view token, std::string_view issuer, jwt::Audience audience,
                                    WallTime now) const {
  return verified_.verify(token, keys(), issuer, audience, now);
}

Result<void> KeyRing::refresh(WallTime now) {
  if (auto loaded = load(now); !loaded) return loaded.error();
  std::int64_t newest = 0;
  {
    const std::lock_guard lock(mutex_);
    newest = signer_ ? newest_ : INT64_MIN / 2;
  }
  if (unix_seconds(now) - newest >= rotation_.count()) {
    if (auto made = make_key(now); !made) return made.error();
    if (auto loaded = load(now); !loaded) return loaded.error();
  }
  const auto records = store_.signing_keys();
  if (!records) return records.error();
  bool removed = false;
  for (const auto& record : *records) {
    if (unix_seconds(now) - record.created_at < 2 * rotation_.count()) continue;
    if (auto gone = store_.remove_signing_key(record.id); !gone) return gone.error();
    removed = true;
  }
  return removed ? load(now) : Result<void>();
}

Result<std::string> KeyRing::rotate(WallTime now) {
  auto made = make_key(now);
  if (!made) return made.error();
  if (const auto loaded = load(now); !loaded) return loaded.error();
  return made;
}

Result<void> KeyRing::load(WallTime now) {
  const auto records = store_.signing_keys();
  if (!records) return records.error();
  auto keys = std::make_shared<jwt::KeySet>();
  std::shared_ptr<const jwt::Signer> signer;
  std::int64_t newest = 0;
  for (const auto& record : *records) {
    crypto::Ed25519PrivateKey key;
    if (!sealer_.open(record.id, record.sealed, key.reveal_mutable()))
      throw std::runtime_error("a signing key of the store does not open: is this its state directory?");
    keys->add(record.id, record.public_key);
    const bool settled = from_unix_seconds(record.created_at) + kKeySettling <= now;
    if (!signer || settled) signer = std::make_shared<jwt::Signer>(record.id, std::move(key));
    newest = record.created_at;
  }
  const std::lock_guard lock(mutex_);
  if (!keys_ || *keys_ != *keys) keys_ = std::move(keys);
  signer_ = std::move(signer);
  newest_ = newest;
  return {};
}

Result<std::string> KeyRing::make_key(WallTime now) {
  const auto key = crypto::make_ed25519_key(random_);
  SigningKeyRecord record;
  record.id = Uuid::random(random_).to_string();
  record.public_key = crypto::public_key_of_ed25519(key);
  record.sealed = sealer_.seal(record.id, key.reveal());
  record.created_at = unix_seconds(now);
  if (const auto added = store_.add_signing_key(record); !added) return added.error();
  return record.id;
}

}  // namespace higgs::boson
