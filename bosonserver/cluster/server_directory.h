// The servers that live: each says so every kAnnounceInterval, in the store and in presence, and is believed for
// kServerSilence.
//
// Who a server is (where it is reached, and by which key it is known there) only the store says: whoever can write to
// presence sends nobody to a server of theirs. Presence tells of those that the store vouches for whether they live,
// and their load; it is newer and forgets by itself. Of those that presence is silent about the store tells: they share
// no presence with this one, as in another region, or it is away.
//
// Any thread, but for refresh() and leave(), which call the store: one thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "base/time.h"
#include "bosonserver/api/cluster_view.h"
#include "bosonserver/cache/presence.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

inline constexpr std::chrono::seconds kAnnounceInterval{2};
/// For so long the store vouches for a server that it has not heard of since, and while it cannot be asked.
inline constexpr std::chrono::minutes kDirectoryGrace{15};

class ServerDirectory final : public ClusterView {
 public:
  ServerDirectory(Store& store, Presence& presence, std::function<Now()> clock)
      : store_(store), presence_(presence), clock_(std::move(clock)) {}

  /// Says what `self` is now, and looks who else is there.
  void refresh(const ServerEntry& self);
  /// The others hear at once that this server is gone.
  void leave();

  std::vector<ServerEntry> others() const override;
  bool lives(ServerId server) const override;
  ServerEntry self() const override;
  std::optional<ServerEntry> find(ServerId server) const;

 private:
  struct Vouched {
    ServerEntry entry;
    Instant spoke;                 ///< when the store heard of it last
    bool shares_presence = false;  ///< it was seen there
    bool lives = false;
  };
  using Pulses = std::map<ServerId, ServerPulse>;

  std::optional<Pulses> ask_presence();
  /// False: it cannot be asked.
  bool ask_store(ServerId self, Now now);
  void judge(const std::optional<Pulses>& pulses, bool stored, Instant now);

  Store& store_;
  Presence& presence_;
  const std::function<Now()> clock_;
  std::map<ServerId, Vouched> vouched_;    // refresh() only; bounded by what the store lists
  std::optional<Instant> presence_since_;  // refresh() only; it has answered each time from then on
  mutable std::mutex mutex_;
  ServerEntry self_;                 // guarded by mutex_
  std::vector<ServerEntry> others_;  // guarded by mutex_
};

}  // namespace higgs::boson
