#include "bosonserver/domain/audit_chain.h"

#include <algorithm>

namespace higgs::boson {
namespace {

constexpr std::string_view kDomain = "higgs-audit-v1";

void put(ByteWriter& out, std::string_view text) {
  out.be(static_cast<std::uint32_t>(text.size()));
  out.bytes(as_bytes(text));
}

}  // namespace

AuditHash audit_hash(const AuditHash& previous, const AuditEntry& entry) {
  ByteWriter out;
  out.bytes(previous);
  out.bytes(as_bytes(kDomain));
  out.be(static_cast<std::uint64_t>(entry.id));
  out.be(static_cast<std::uint64_t>(entry.time));
  for (const auto* text : {&entry.actor, &entry.address, &entry.action, &entry.object, &entry.outcome}) put(out, *text);
  return crypto::sha256(out.view());
}

AuditLink append_to_chain(AuditChain& chain, AuditEntry entry) {
  entry.id = ++chain.head_id;
  chain.head_hash = audit_hash(chain.head_hash, entry);
  return {std::move(entry), chain.head_hash};
}

AuditVerifier::AuditVerifier(const AuditChain& chain)
    : start_(chain), last_id_(chain.anchor_id), last_hash_(chain.anchor_hash) {}

void AuditVerifier::check(const AuditLink& link) {
  const auto id = link.entry.id;
  if (id <= start_.anchor_id) {
    // Nothing of the chain is gone yet: then these are entries of a time that knew none. Ids begin with 1.
    if (start_.anchor_hash == AuditHash{} && id >= 1) {
      ++unchained_;
    } else {
      fail(id, id, "put in before the oldest entry of the chain");
    }
    return;
  }
  if (id != last_id_ + 1) {
    // What came before is unknown, so this entry can only be taken at its word.
    fail(last_id_ + 1, id - 1, "removed");
  } else if (audit_hash(last_hash_, link.entry) == link.hash) {
    ++verified_;
  } else {
    fail(id, id, "not what was written, or not behind the one it was written behind");
  }
  // Further on from its own hash, so that what is good behind it is not called bad.
  last_id_ = id;
  last_hash_ = link.hash;
}

void AuditVerifier::finish(const AuditChain& chain) {
  if (last_id_ < chain.head_id) {
    fail(last_id_ + 1, chain.head_id, "removed");
  } else if (last_id_ > chain.head_id) {
    fail(chain.head_id + 1, last_id_, "put in behind the newest entry of the chain");
  } else if (last_hash_ != chain.head_hash) {
    fail(last_id_, last_id_, "not the newest one that was written");
  }
}

void AuditVerifier::fail(std::int64_t first, std::int64_t last, const char* what) {
  ++fault_count_;
  if (faults_.size() < kMaxAuditFaults) faults_.push_back({first, last, what});
}

std::int64_t purge_boundary(const AuditChain& chain, std::optional<std::int64_t> oldest_kept,
                            std::size_t most_entries) {
  const auto by_age = oldest_kept ? *oldest_kept - 1 : chain.head_id;
  return std::max(by_age, chain.head_id - static_cast<std::int64_t>(most_entries));
}

}  // namespace higgs::boson
