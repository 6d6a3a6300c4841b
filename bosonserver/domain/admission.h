// Which nodes may join: everybody, after an operator's approval, or those of a list.
#pragma once

#include <vector>

#include "base/ip.h"
#include "crypto/ed25519.h"

namespace higgs::boson {

struct AdmissionPolicy {
  enum class Mode { kOpen, kApproval, kAllowlist };
  Mode mode = Mode::kOpen;
  std::vector<IpPrefix> networks;                       ///< allow list: where a node may come from
  std::vector<crypto::Ed25519PublicKey> identity_keys;  ///< or who it may be
};

enum class AdmissionDecision { kApprove, kPend, kRefuse };

/// For a node that is not known yet. A list entry of either kind is enough.
AdmissionDecision decide_admission(const AdmissionPolicy& policy, const crypto::Ed25519PublicKey& identity,
                                   const IpAddress& address);

}  // namespace higgs::boson
