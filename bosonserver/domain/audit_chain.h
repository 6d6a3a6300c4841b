// The audit's hash chain: each entry carries a hash of its content and of the hash before it, so that an entry cannot
// be changed, removed, put in or moved without breaking the chain there. What is purged leaves its last hash behind as
// the anchor. Who may write the whole store can write a new chain from any entry on: keep the head elsewhere
// (`bosonserver audit verify` prints it, and compares with one that it is given).
//
//   hash of entry n = SHA-256( hash of entry n-1 ‖ "higgs-audit-v1" ‖ id ‖ time ‖ actor ‖ address ‖ action ‖ object ‖
//                              outcome )      numbers: 8 bytes, big-endian; text: its length in 4 bytes, then itself
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bosonserver/store/account_records.h"

namespace higgs::boson {

AuditHash audit_hash(const AuditHash& previous, const AuditEntry& entry);
/// The chain with this entry at its end; gives the entry its id. Ids have no gaps.
AuditLink append_to_chain(AuditChain& chain, AuditEntry entry);

struct AuditFault {
  std::int64_t first = 0, last = 0;  ///< entries that it is about
  std::string what;                  ///< "removed", …
};

inline constexpr std::size_t kMaxAuditFaults = 100;  ///< that are named; all are counted

/// Reads the entries in the order of their ids and says what is wrong with them.
class AuditVerifier {
 public:
  explicit AuditVerifier(const AuditChain& chain);

  /// `link`: of a higher id than the one before.
  void check(const AuditLink& link);
  /// After the last entry; `chain` as it is now.
  void finish(const AuditChain& chain);

  std::int64_t last_id() const noexcept { return last_id_; }
  std::uint64_t verified() const noexcept { return verified_; }
  /// Entries from before there was a chain.
  std::uint64_t unchained() const noexcept { return unchained_; }
  std::uint64_t fault_count() const noexcept { return fault_count_; }
  const std::vector<AuditFault>& faults() const noexcept { return faults_; }

 private:
  void fail(std::int64_t first, std::int64_t last, const char* what);

  const AuditChain start_;
  std::int64_t last_id_;
  AuditHash last_hash_;
  std::uint64_t verified_ = 0, unchained_ = 0, fault_count_ = 0;
  std::vector<AuditFault> faults_;
};

/// The newest entry that may be purged: all up to it are older than `cutoff`. `oldest_kept`: the first that is not, if
/// there is one. Only a prefix may go, or the rest would not hang together.
std::int64_t purge_boundary(const AuditChain& chain, std::optional<std::int64_t> oldest_kept, std::size_t most_entries);

}  // namespace higgs::boson
