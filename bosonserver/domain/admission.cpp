#include "bosonserver/domain/admission.h"

#include <algorithm>

namespace higgs::boson {

AdmissionDecision decide_admission(const AdmissionPolicy& policy, const crypto::Ed25519PublicKey& identity,
                                   const IpAddress& address) {
  if (policy.mode == AdmissionPolicy::Mode::kOpen) return AdmissionDecision::kApprove;
  if (policy.mode == AdmissionPolicy::Mode::kApproval) return AdmissionDecision::kPend;
  const auto from = address.unmapped();
  const bool listed =
      std::any_of(policy.networks.begin(), policy.networks.end(), [&](const auto& n) { return n.contains(from); }) ||
      std::find(policy.identity_keys.begin(), policy.identity_keys.end(), identity) != policy.identity_keys.end();
  return listed ? AdmissionDecision::kApprove : AdmissionDecision::kRefuse;
}

}  // namespace higgs::boson
