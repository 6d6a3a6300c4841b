// Reads the whole audit and checks its chain, also while servers write to it.
#pragma once

#include "bosonserver/domain/audit_chain.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

struct AuditReport {
  AuditChain chain;
  std::uint64_t verified = 0;
  std::uint64_t unchained = 0;  ///< entries from before there was a chain
  std::uint64_t fault_count = 0;
  std::vector<AuditFault> faults;  ///< kMaxAuditFaults at most
};

/// Blocks, for minutes where there are millions of entries. kUnavailable also where a purge was always in the way.
Result<AuditReport> check_audit(Store& store);

}  // namespace higgs::boson
