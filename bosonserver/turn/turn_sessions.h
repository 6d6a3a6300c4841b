// Who may use TURN, and towards whom: the sessions that stand, with the addresses that their nodes have announced.
// Credentials are made and checked without a table of their own: "EXPIRY:SESSION" and a MAC of it, as coturn's
// "TURN REST API" has them.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ip.h"
#include "base/secret.h"
#include "base/time.h"
#include "base/uuid.h"
#include "turn/peer_policy.h"
#include "turn/turn_server.h"

namespace higgs::boson {

using TurnSecret = SecretBytes<32>;

/// A session's addresses. A further candidate takes the place of the one that was told first: a node that moves often
/// stays reachable.
inline constexpr std::size_t kMaxSessionCandidates = 32;
/// Addresses that a session may be told of in its whole life. Node and client may be one person's: what they could name
/// without end, TURN would carry packets to.
inline constexpr std::size_t kMaxSessionCandidatesEver = 256;
/// User names of one session: one for each time that its client was told of TURN.
inline constexpr std::size_t kMaxSessionUsers = 8;

struct TurnCredential {
  std::string username, password;
  std::int64_t expires_at = 0;
};

class TurnSessions final : public turn::Authority {
 public:
  struct Counters {
    std::size_t sessions = 0;
    std::uint64_t refused_sessions = 0, refused_candidates = 0, replaced_candidates = 0;
  };

  TurnSessions(TurnSecret secret, turn::PeerPolicy policy, std::size_t max_sessions);

  /// Called, on the thread that closes a session, with each user name that was seen of it. To be set before any call.
  void on_revoked(std::function<void(const std::string&)> action) { revoked_ = std::move(action); }

  /// The session stands from now on until then (Unix seconds), and its node is at these addresses. False: too many
  /// sessions.
  bool open(SessionId session, const std::vector<IpAddress>& registered, std::int64_t expires_at);
  void renew(SessionId session, std::int64_t expires_at);
  bool stands(SessionId session) const;
  /// Of a session that stands; anything else is ignored.
  void add_candidate(SessionId session, const IpAddress& candidate);
  /// It stands no longer: its credentials are worth nothing, and its allocations end.
  void close(SessionId session);
  TurnCredential issue(SessionId session, std::int64_t expires_at) const;
  Counters counters() const;

  std::optional<SecretString> password(WallTime now, std::string_view username) override;
  bool permits(std::string_view username, const IpAddress& peer) override;

 private:
  struct Session {
    std::vector<IpAddress> registered;  ///< by the node, before the session began
    std::deque<IpAddress> candidates;   ///< told since, oldest first
    std::size_t told = 0;               ///< candidates, those that were replaced too
    std::vector<std::string> users;
    std::int64_t expires_at = 0;
  };
  std::string password_of(std::string_view username) const;
  /// Unmapped; nullopt: refused whoever tells it.
  std::optional<IpAddress> acceptable(const IpAddress& address) const;

  const TurnSecret secret_;
  const turn::PeerPolicy policy_;
  const std::size_t max_sessions_;
  std::function<void(const std::string&)> revoked_;
  mutable std::mutex mutex_;
  std::unordered_map<SessionId, Session> sessions_;  // guarded by mutex_
  Counters counters_;                                // guarded by mutex_
};

}  // namespace higgs::boson
