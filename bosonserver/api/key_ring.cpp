#include "bosonserver/api/key_ring.h"

#include <stdexcept>

#include "base/uuid.h"
#include "crypto/aead.h"

namespace higgs::boson {
namespace {

constexpr std::size_t kNonceBytes = std::tuple_size_v<crypto::XChaChaNonce>;
constexpr std::size_t kKeyBytes = crypto::Ed25519PrivateKey::kSize;

}  // namespace

KeyRing::KeyRing(Store& store, SealingKey sealing_key, RandomSource& random, std::chrono::seconds rotation,
                 WallTime now)
    : store_(store), sealing_key_(std::move(sealing_key)), random_(random), rotation_(rotation) {
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

Result<void> KeyRing::refresh(WallTime now) {
  if (auto loaded = load(); !loaded) return loaded.error();
  std::int64_t newest = 0;
  {
    const std::lock_guard lock(mutex_);
    newest = signer_ ? newest_ : INT64_MIN / 2;
  }
  if (unix_seconds(now) - newest >= rotation_.count()) {
    if (auto made = make_key(now); !made) return made.error();
    if (auto loaded = load(); !loaded) return loaded.error();
  }
  const auto records = store_.signing_keys();
  if (!records) return records.error();
  bool removed = false;
  for (const auto& record : *records) {
    if (unix_seconds(now) - record.created_at < 2 * rotation_.count()) continue;
    if (auto gone = store_.remove_signing_key(record.id); !gone) return gone.error();
    removed = true;
  }
  return removed ? load() : Result<void>();
}

Result<void> KeyRing::load() {
  const auto records = store_.signing_keys();
  if (!records) return records.error();
  auto keys = std::make_shared<jwt::KeySet>();
  std::shared_ptr<const jwt::Signer> signer;
  std::int64_t newest = 0;
  for (const auto& record : *records) {
    auto key = open(record);
    if (!key) throw std::runtime_error("a signing key of the store does not open: is this its state directory?");
    keys->add(record.id, record.public_key);
    signer = std::make_shared<jwt::Signer>(record.id, std::move(*key));
    newest = record.created_at;
  }
  const std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
  signer_ = std::move(signer);
  newest_ = newest;
  return {};
}

Result<void> KeyRing::make_key(WallTime now) {
  const auto key = crypto::make_ed25519_key(random_);
  SigningKeyRecord record;
  record.id = Uuid::random(random_).to_string();
  record.public_key = crypto::public_key_of_ed25519(key);
  record.sealed = seal(record.id, key);
  record.created_at = unix_seconds(now);
  return store_.add_signing_key(record);
}

Bytes KeyRing::seal(const std::string& id, const crypto::Ed25519PrivateKey& key) {
  Bytes sealed(kNonceBytes + kKeyBytes + crypto::kAeadTagBytes);
  const auto nonce = random_.array<kNonceBytes>();
  std::copy(nonce.begin(), nonce.end(), sealed.begin());
  crypto::xchacha20poly1305_seal(sealing_key_, nonce, as_bytes(id), key.reveal(),
                                 MutableBytes(sealed).subspan(kNonceBytes));
  return sealed;
}

std::optional<crypto::Ed25519PrivateKey> KeyRing::open(const SigningKeyRecord& record) const {
  if (record.sealed.size() != kNonceBytes + kKeyBytes + crypto::kAeadTagBytes) return std::nullopt;
  crypto::XChaChaNonce nonce;
  std::copy_n(record.sealed.begin(), kNonceBytes, nonce.begin());
  crypto::Ed25519PrivateKey key;
  if (!crypto::xchacha20poly1305_open(sealing_key_, nonce, as_bytes(record.id),
                                      ByteView(record.sealed).subspan(kNonceBytes), key.reveal_mutable()))
    return std::nullopt;
  return key;
}

}  // namespace higgs::boson
