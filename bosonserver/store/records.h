// What the store keeps. Times are Unix seconds.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "api/account.h"
#include "api/node.h"
#include "base/ip.h"
#include "base/uuid.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "crypto/x25519.h"

namespace higgs::boson {

struct UserRecord {
  UserId id;
  std::string name;
  std::string password_hash;
  api::Role role = api::Role::kUser;
  bool disabled = false;
  std::int64_t created_at = 0;
};

/// What of a user is to be another; unset: stays as it is.
struct UserChange {
  std::optional<std::string> password_hash = {};
  std::optional<api::Role> role = {};
  std::optional<bool> disabled = {};
};

/// On what a session may be added.
struct SessionTerms {
  std::optional<std::string> login = {};  ///< the family of the refresh token that must not be revoked
  /// Standing at a time, this one among them.
  std::size_t of_user = std::numeric_limits<std::size_t>::max(), of_node = std::numeric_limits<std::size_t>::max();
};

struct UserChanged {
  UserRecord user;                 ///< as it is now
  std::vector<SessionId> ended{};  ///< with the change
};

/// What became of a refresh token that was presented.
struct RefreshOutcome {
  enum class Kind {
    kRotated,  ///< spent, and its successor stored
    kUnknown,
    kExpired,
    kReused,   ///< it was spent before: the family is revoked now
    kRevoked,  ///< the family had ended, or its user is disabled
  };
  Kind kind = Kind::kUnknown;
  std::string family;
  std::optional<UserRecord> user;  ///< known but for kUnknown
};

enum class NodeAdmission { kApproved, kPending, kBanned };

struct NodeRecord {
  NodeId id;
  crypto::Ed25519PublicKey identity_key;
  crypto::PublicKey wireguard_key;
  api::KeyCertificate key_certificate;
  NodeAdmission admission = NodeAdmission::kPending;
  api::NodeStatus status = api::NodeStatus::kOffline;  ///< as the node said last, or offline since it fell silent
  std::vector<IpPrefix> tunnel_prefixes;
  api::NetworkInfo network_info;
  api::Capabilities capabilities;
  api::HeartbeatMetrics metrics;
  std::optional<api::Location> location;
  std::uint32_t heartbeat_interval = 30;  ///< seconds
  IpAddress address;                      ///< where its last request came from
  std::int64_t registered_at = 0;
  std::int64_t last_seen = 0;
  std::optional<ServerId> server;  ///< where its relay link stood last, and was not seen to end

  /// Where it may be reached: what it registered, and what we saw of it.
  std::vector<IpAddress> addresses() const {
    std::vector<IpAddress> all = {address, network_info.ipv4};
    if (network_info.ipv6) all.push_back(*network_info.ipv6);
    if (network_info.stun_mapped_address) all.push_back(network_info.stun_mapped_address->address);
    return all;
  }
  /// With admission: what people are shown.
  api::NodeStatus shown_status() const {
    if (admission == NodeAdmission::kPending) return api::NodeStatus::kPending;
    return admission == NodeAdmission::kBanned ? api::NodeStatus::kBanned : status;
  }
};

/// What the answer to a heartbeat depends on.
struct HeartbeatOutcome {
  NodeAdmission admission = NodeAdmission::kApproved;  ///< kBanned: it was not recorded
  std::uint32_t heartbeat_interval = 30;               ///< seconds
  bool status_changed = false;
  bool actions_wait = false;
};

/// What a node says of itself, and where from.
struct HeartbeatRecord {
  NodeId node;
  api::NodeStatus status = api::NodeStatus::kOnline;
  api::HeartbeatMetrics metrics;
  IpAddress address;
  std::int64_t time = 0;
};

/// Of many at once.
struct HeartbeatsOutcome {
  std::vector<NodeId> settled;  ///< recorded, and no action waits; whoever is missing has to be looked at alone
  std::vector<NodeId> moved;    ///< recorded, and the status is another than it was
};

struct SessionRow {
  SessionId id;
  UserId user;
  NodeId node;
  ClientId client;
  crypto::PublicKey wireguard_key;
  IpAddress address4;
  std::optional<IpAddress> address6;
  std::string path = "relay";
  std::int64_t started_at = 0;
  std::int64_t expires_at = 0;
  std::optional<std::int64_t> ended_at;
  std::string end_reason;
  std::uint64_t bytes_to_node = 0, bytes_to_client = 0;
};

struct AuditEntry {
  std::int64_t id = 0;  ///< given by the store
  std::int64_t time = 0;
  std::string actor;    ///< "user:NAME", "node:ID", "server" or "anonymous"
  std::string address;  ///< of the request; empty for the server's own acts
  std::string action;   ///< "login", "node.ban", …
  std::string object;
  std::string outcome;  ///< "ok", or why not
};

/// Failed logins of one account or one address.
struct Lockout {
  std::uint32_t failures = 0;
  std::int64_t last_failure = 0;
  std::int64_t locked_until = 0;
  friend bool operator==(const Lockout&, const Lockout&) = default;
};

struct SigningKeyRecord {
  std::string id;
  crypto::Ed25519PublicKey public_key;
  Bytes sealed;  ///< the private key; see api/key_ring.h
  std::int64_t created_at = 0;
};

struct ActionRecord {
  std::string id;
  NodeId node;
  api::ActionType type = api::ActionType::kMaintenance;
  std::string payload;  ///< JSON
  std::int64_t created_at = 0;
};

/// A server of the cluster.
struct ServerRecord {
  std::string entry_json;  ///< see cluster/server_entry.h
  std::int64_t last_seen = 0;
  friend bool operator==(const ServerRecord&, const ServerRecord&) = default;
};

/// How long what has ended is kept, in seconds.
struct Retention {
  std::int64_t metrics = 7 * 86400;
  std::int64_t sessions = 7 * 86400;
  std::int64_t audit = 90 * 86400;
  std::int64_t silent_nodes = 30 * 86400;
};

}  // namespace higgs::boson
