// Tokens whose signatures were found good, by SHA-256, so that a node that shows its token every half a minute has it
// checked once: that check costs more than the rest of a heartbeat. What changes with the time is looked at each time,
// and all are forgotten with the keys that they were checked with. Thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "base/time.h"
#include "crypto/hash.h"
#include "jwt/claims.h"
#include "jwt/key_set.h"

namespace higgs::boson {

class VerifiedTokens {
 public:
  /// Kept are the newest of these, and as many again that were used since.
  static constexpr std::size_t kGeneration = 65'536;

  /// As jwt::verify().
  Result<jwt::Claims> verify(std::string_view token, const std::shared_ptr<const jwt::KeySet>& keys,
                             std::string_view issuer, jwt::Audience audience, WallTime now);

 private:
  struct Hash {
    std::size_t operator()(const crypto::Sha256Digest& digest) const noexcept {
      return load_le<std::uint64_t>(digest.data());
    }
  };
  using Generation = std::unordered_map<crypto::Sha256Digest, std::shared_ptr<const jwt::Claims>, Hash>;

  std::shared_ptr<const jwt::Claims> find(const crypto::Sha256Digest& digest,
                                          const std::shared_ptr<const jwt::KeySet>& keys);
  void keep(const crypto::Sha256Digest& digest, std::shared_ptr<const jwt::Claims> claims,
            const std::shared_ptr<const jwt::KeySet>& keys);
  void keep_locked(const crypto::Sha256Digest& digest, std::shared_ptr<const jwt::Claims> claims);

  std::mutex mutex_;
  std::shared_ptr<const jwt::KeySet> keys_;  // guarded by mutex_; of all that is kept
  Generation recent_, older_;                // guarded by mutex_
};

}  // namespace higgs::boson
