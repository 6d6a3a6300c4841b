#include "bosonserver/api/audit_check.h"

namespace higgs::boson {
namespace {

constexpr int kAttempts = 5;

/// The chain as it is once all its entries were read; servers may write meanwhile.
Result<AuditChain> read_all(Store& store, AuditVerifier& verifier) {
  std::int64_t read_to = INT64_MIN;
  for (;;) {
    const auto links = store.audit_links(read_to, kMaxPage);
    if (!links) return links.error();
    for (const auto& link : *links) verifier.check(link);
    if (!links->empty()) {
      read_to = links->back().entry.id;
      continue;
    }
    const auto chain = store.audit_chain();
    if (!chain) return chain.error();
    const auto more = store.audit_links(read_to, 1);
    if (!more) return more.error();
    if (more->empty()) return *chain;
  }
}

}  // namespace

Result<AuditReport> check_audit(Store& store) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto begin = store.audit_chain();
    if (!begin) return begin.error();
    AuditVerifier verifier(*begin);
    const auto end = read_all(store, verifier);
    if (!end) return end.error();
    // A purge took entries away while they were read: what is missing says nothing.
    if (end->anchor_id != begin->anchor_id) continue;
    verifier.finish(*end);
    return AuditReport{*end, verifier.verified(), verifier.unchained(), verifier.fault_count(), verifier.faults()};
  }
  return StoreError::kUnavailable;
}

}  // namespace higgs::boson
