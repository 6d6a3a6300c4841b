// The servers that live: each says so every kAnnounceInterval, in presence and in the store, and is believed for
// kServerSilence. Presence comes first, since it is newer and forgets by itself. The store tells of all others: those
// that share no presence with this one, as in another region, and everybody while presence is away.
//
// Any thread, but for refresh() and leave(), which call the store: one thread.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "base/time.h"
#include "bosonserver/api/cluster_view.h"
#include "bosonserver/cache/presence.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

inline constexpr std::chrono::seconds kAnnounceInterval{2};
inline constexpr std::chrono::seconds kServerSilence{10};
/// What was known stays good for this long while neither presence nor store can be asked.
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
  Result<std::vector<ServerEntry>> ask_presence(ServerId self);
  Result<std::vector<ServerEntry>> ask_store(ServerId self);

  Store& store_;
  Presence& presence_;
  const std::function<Now()> clock_;
  mutable std::mutex mutex_;
  ServerEntry self_;                 // guarded by mutex_
  std::vector<ServerEntry> others_;  // guarded by mutex_
  std::vector<ServerEntry> stored_;  // guarded by mutex_; those of others_ that only the store told of
  Instant asked_{};                  // guarded by mutex_; when others_ was true
  Instant stored_at_{};              // guarded by mutex_; when the store told
};

}  // namespace higgs::boson
