// What the store keeps of accounts beyond the users themselves, and how the audit is chained. Times are Unix seconds;
// secrets are kept as SHA-256 or sealed, never as they are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bosonserver/store/records.h"

namespace higgs::boson {

using AuditHash = crypto::Sha256Digest;

/// An entry with its place in the chain; see domain/audit_chain.h.
struct AuditLink {
  AuditEntry entry;
  AuditHash hash{};
};

/// Where the chain begins and ends. Before the first entry both are {0, zeros}.
struct AuditChain {
  std::int64_t anchor_id = 0;  ///< of the last entry that was purged, or that stood before there was a chain
  AuditHash anchor_hash{};     ///< zeros: nothing of the chain was purged
  std::int64_t head_id = 0;    ///< of the newest entry
  AuditHash head_hash{};
};

/// Who calls with an access token, and whether the login that it came from stands.
struct Caller {
  UserRecord user;
  bool login_stands = false;
};

struct TotpRecord {
  Bytes sealed;  ///< the secret; see api/sealer.h
  bool confirmed = false;
  std::int64_t last_step = 0;      ///< of the newest code that was used
  std::size_t recovery_codes = 0;  ///< that are left
};

struct InviteRecord {
  std::string id;
  crypto::Sha256Digest digest{};
  api::Role role = api::Role::kUser;
  std::string created_by;  ///< as the audit's actor
  std::int64_t created_at = 0;
  std::int64_t expires_at = 0;
  std::uint32_t uses_left = 1;
};

struct ApiKeyRecord {
  std::string id;
  UserId user;
  std::string name;  ///< unique for its user
  crypto::Sha256Digest digest{};
  api::Role role = api::Role::kUser;  ///< at most; the user's own may be less by now
  std::int64_t created_at = 0;
  std::optional<std::int64_t> expires_at, last_used_at;
};

/// What a user sent over the relay, both ways.
struct RelayUsage {
  UserId user;
  std::uint64_t bytes = 0;
};
struct RelayAccount {
  std::uint64_t used_bytes = 0;                  ///< in the period
  std::optional<std::uint64_t> own_quota_bytes;  ///< unset: the configured one holds

  std::optional<std::uint64_t> quota(std::optional<std::uint64_t> configured) const {
    return own_quota_bytes ? own_quota_bytes : configured;
  }
  bool is_exhausted(std::optional<std::uint64_t> configured) const {
    const auto most = quota(configured);
    return most && used_bytes >= *most;
  }
};

/// Who calls with an API key.
struct KeyCaller {
  UserRecord user;
  ApiKeyRecord key;
};

/// A node that may join in mode allowlist: by where it comes from, or by who it is.
struct AllowEntry {
  std::string id;
  std::optional<IpPrefix> network;
  std::optional<crypto::Ed25519PublicKey> identity_key;
  std::string note;
  std::string created_by;  ///< as the audit's actor
  std::int64_t created_at = 0;
};

}  // namespace higgs::boson
