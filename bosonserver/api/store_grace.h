// The store as those see it who must go on without it: sessions that renew, nodes that report, relay links that come
// back. What the store says is remembered; while it cannot be reached, and for kStoreGrace after it answered last, what
// is remembered counts. Nothing new begins by that.
//
// What ended, was banned or lost its login is forgotten when it is told (store/store_events.h, server/store_watch.h),
// so it does not come back. What was renewed is written when the store is there again: settle().
//
// Any thread. Calls that take a Now may call the store.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "bosonserver/api/recent_map.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

inline constexpr std::chrono::minutes kStoreGrace{15};
/// After the store came back: renewals and heartbeats of the outage come in before anything expires by it.
inline constexpr std::chrono::seconds kStoreSettling{60};

struct GraceLimits {
  std::size_t sessions = 50'000;
  std::size_t users = 20'000;
  std::size_t keys = 5'000;
  std::size_t nodes = kMaxNodes;
};
inline constexpr std::size_t kMaxLoginsRemembered = 16;  ///< of a user; the oldest goes first

struct GraceStats {
  std::uint64_t renewals = 0;   ///< of sessions, without the store
  std::uint64_t links = 0;      ///< of the relay, without the store
  std::uint64_t forgotten = 0;  ///< remembered no more because of a limit
  std::size_t unsettled = 0;    ///< renewals that are to be written
};

/// What the store says, or what is remembered of it.
template <class T>
struct Known {
  T value;
  bool remembered = false;  ///< the store does not answer
};

struct NodeStanding {
  NodeAdmission admission = NodeAdmission::kPending;
  std::uint32_t heartbeat_interval = 30;  ///< seconds
};

class StoreGrace {
 public:
  explicit StoreGrace(Store& store, const GraceLimits& limits = {});

  /// kUnavailable also where the store does not answer and nothing good is remembered, or no longer.
  Result<Known<Caller>> caller_by_login(UserId user, const std::string& family, Now now);
  Result<Known<KeyCaller>> caller_by_key(const crypto::Sha256Digest& key, Now now);
  Result<Known<SessionRow>> session(SessionId id, Now now);
  Result<Known<NodeStanding>> node(NodeId id, Now now);

  /// Until when the session stands now: as wanted, or during the grace no longer than that. Errors of
  /// Store::renew_session.
  Result<std::int64_t> renew_session(const SessionRow& session, std::int64_t wanted, Now now);
  /// Writes what was renewed without the store; returns the sessions that have ended in it meanwhile. kUnavailable: it
  /// does not answer yet.
  Result<std::vector<SessionId>> settle(Now now);

  /// To be called before the store is asked for something that is remembered afterwards.
  std::uint64_t mark() const;
  /// Not where anything was forgotten since the mark: it may be this.
  void remember(NodeId id, const NodeStanding& standing, std::uint64_t mark);
  void forget_session(SessionId id);
  void forget_user(UserId id);
  void forget_node(NodeId id);
  /// Events were missed that may have been about them.
  void forget_users_and_nodes();

  /// The store has answered.
  void answered(Now now);
  /// When it answered last.
  WallTime last_answer() const;
  /// The end of the grace in Unix seconds; nullopt: it is over.
  std::optional<std::int64_t> ends_at(Now now) const;
  /// What the node's tokens are good for without the store, if it is remembered.
  std::optional<NodeStanding> remembered_node(NodeId id, Now now);
  /// A relay link was granted by what is remembered.
  void count_link();
  GraceStats stats() const;

 private:
  struct KnownUser {
    UserRecord user;
    std::vector<std::string> logins;  ///< families that stand
  };

  std::optional<std::int64_t> end_of(Now now) const;  // mutex_ held
  void note(const Caller& caller, const std::string& family, std::uint64_t mark);
  static std::string key_of(const crypto::Sha256Digest& digest);

  Store& store_;
  mutable std::mutex mutex_;  // guards all below; never held during a call of the store
  std::uint64_t forgets_ = 0;
  std::optional<Now> answered_;
  RecentMap<SessionId, SessionRow> sessions_;
  RecentMap<UserId, KnownUser> users_;
  RecentMap<std::string, KeyCaller> keys_;  ///< by digest
  RecentMap<NodeId, NodeStanding> nodes_;
  std::unordered_map<SessionId, std::int64_t> unsettled_;  ///< until when; as many as there may be sessions
  const std::size_t most_unsettled_;
  std::uint64_t renewals_ = 0, links_ = 0;
};

}  // namespace higgs::boson
