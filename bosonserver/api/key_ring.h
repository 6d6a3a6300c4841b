// The keys that sign tokens: kept in the store, sealed with a key of the state directory, replaced in time. All tokens
// of the deployment are signed with the newest that every server knows by now, and verified with any that is kept.
//
// Thread-safe. The constructor and refresh() call the store.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "bosonserver/api/sealer.h"
#include "bosonserver/api/verified_tokens.h"
#include "bosonserver/store/store.h"
#include "jwt/key_set.h"
#include "jwt/signer.h"

namespace higgs::boson {

/// From its making until a key signs: servers look for new keys more often than that.
inline constexpr std::chrono::minutes kKeySettling{15};

class KeyRing {
 public:
  /// Loads the keys; makes one if there is none. Throws std::runtime_error if the store fails, or if a key does not
  /// open with this sealer's.
  KeyRing(Store& store, const Sealer& sealer, RandomSource& random, std::chrono::seconds rotation, WallTime now);

  std::string sign(const jwt::Claims& claims) const;
  /// A snapshot, the same one for as long as the keys are the same.
  std::shared_ptr<const jwt::KeySet> keys() const;
  /// As jwt::verify(), with the keys of now.
  Result<jwt::Claims> verify(std::string_view token, std::string_view issuer, jwt::Audience audience,
                             WallTime now) const;

  /// Takes over what other servers added, makes a new key when the newest is older than the rotation, and removes keys
  /// older than twice that: no token of theirs is valid any more.
  Result<void> refresh(WallTime now);
  /// Makes a new key at once; its id.
  Result<std::string> rotate(WallTime now);

 private:
  Result<void> load(WallTime now);
  Result<std::string> make_key(WallTime now);
  Store& store_;
  const Sealer& sealer_;
  RandomSource& random_;
  const std::chrono::seconds rotation_;
  mutable std::mutex mutex_;
  std::shared_ptr<const jwt::KeySet> keys_;    // guarded by mutex_
  std::shared_ptr<const jwt::Signer> signer_;  // guarded by mutex_
  std::int64_t newest_ = 0;                    // guarded by mutex_; creation of the newest key
  mutable VerifiedTokens verified_;
};

}  // namespace higgs::boson
