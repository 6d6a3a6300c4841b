// How much each user sends over the relays of the cluster, and what they are held to for it: a rate over all sessions
// at this server, and once their quota is used up a small one until the month ends. Nobody is disconnected.
//
// What the relay forwarded is added up here and written to the store in batches (tick), which also says who is over
// quota by what all servers wrote. Without the store it is kept, and written later; who is over quota is then reckoned
// from what the store said last and what was counted here since.
//
// Any thread, but for tick(): one that may call the store, one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "bosonserver/api/services.h"
#include "relay/shared_rate.h"

namespace higgs::boson {

inline constexpr std::chrono::seconds kMeterInterval{10};
/// Of one transaction.
inline constexpr std::size_t kUsageBatch = 100;
/// A session without a link is remembered for so long: it may come back.
inline constexpr std::chrono::seconds kMeterMemory{60};

struct RelayMeterSettings {
  std::optional<double> rate_mbps;  ///< of a user, each way
  double over_quota_mbps = 0.5;
  std::size_t sessions = 100'000;  ///< that are told apart; others are not counted
};

struct RelayMeterStats {
  std::size_t over_quota = 0;       ///< users with sessions here
  std::uint64_t unsaved_bytes = 0;  ///< that are to be written
  std::uint64_t unmetered = 0;      ///< links that were not counted, for the limit
};

class RelayMeter {
 public:
  /// `forwarded`: what the relay has forwarded of a standing session since its link came up.
  RelayMeter(Services& services, const RelayMeterSettings& settings,
             std::function<std::optional<std::uint64_t>(SessionId)> forwarded);

  /// A client's link is about to come up: what it is held to, together with the user's other sessions. May call the
  /// store.
  std::shared_ptr<relay::SharedRate> join(SessionId session, UserId user);
  /// The session has left the relay, which had forwarded this much of it.
  void left(SessionId session, std::uint64_t bytes);
  bool is_over_quota(UserId user) const;
  bool is_over_quota(SessionId session) const;

  /// Counts, writes, and holds to their quota whom the store says; to be called every kMeterInterval.
  void tick();
  RelayMeterStats stats() const;

 private:
  /// What the store said of a user.
  struct Account {
    std::int64_t period = 0;
    RelayAccount relay;
  };
  struct User {
    std::shared_ptr<relay::SharedRate> rate = std::make_shared<relay::SharedRate>();
    std::uint64_t unsaved_bytes = 0;
    std::size_t sessions = 0;
    bool over_quota = false;
    std::optional<Account> account{};
    std::uint64_t counted_bytes = 0;  ///< here, since `account`

    void add(std::uint64_t bytes) {
      unsaved_bytes += bytes;
      counted_bytes += bytes;
    }
  };
  struct Session {
    UserId user;
    std::uint64_t counted_bytes = 0;  ///< of the present link's
    Instant touched{};
  };

  void count();
  bool write();
  std::optional<std::set<UserId>> ask_who_is_over();
  void enforce(const std::optional<std::set<UserId>>& over);
  void refresh();
  std::int64_t period() const;
  bool is_exhausted(const User& user, std::int64_t period) const;
  void set_over_quota(User& user, bool over, Instant now);  // mutex_ held
  std::optional<Account> ask(UserId user);

  Services& services_;
  const RelayMeterSettings settings_;
  const std::function<std::optional<std::uint64_t>(SessionId)> forwarded_;
  mutable std::mutex mutex_;
  std::unordered_map<SessionId, Session> sessions_;  // guarded by mutex_, as all below
  std::unordered_map<UserId, User> users_;           ///< with sessions, or with bytes to be written
  std::uint64_t unmetered_ = 0;
};

}  // namespace higgs::boson
