// Our own credentials (RFC 8445, section 5.3): the present ones, and for a while those before an ICE restart, with
// which the far end may still be checking.
#pragma once

#include <deque>
#include <string_view>

#include "base/random.h"
#include "base/time.h"
#include "ice/candidate.h"
#include "stun/integrity.h"

namespace higgs::ice {

class Credentials {
 public:
  explicit Credentials(RandomSource& random);

  const Description& current() const noexcept { return current_; }
  /// A new ufrag, password and generation.
  void renew(Instant now, RandomSource& random);
  /// The key for requests to this ufrag; nullptr: it is not ours, or not any more.
  const stun::IntegrityKey* key_for(Instant now, std::string_view ufrag) const noexcept;

 private:
  struct Old {
    std::string ufrag;
    stun::IntegrityKey key;
    Instant until;
  };
  Description current_;
  stun::IntegrityKey key_;
  std::deque<Old> old_;
};

/// Whether a ufrag and a password have a length and letters that are allowed (RFC 8839, section 5.4).
bool is_acceptable(const Description& description) noexcept;

}  // namespace higgs::ice
