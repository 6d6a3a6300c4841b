// Carries notifications to the listeners of this process, each on a thread of its own. What another process does, such
// as `bosonserver node ban` beside the server, cannot be told so: the version of the database shows that something was
// done, and listeners hear of a gap. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "bosonserver/store/sql_database.h"

namespace higgs::boson {

/// That wait for one listener. Above it they are dropped, and it hears of a gap.
inline constexpr std::size_t kMaxQueuedNotifications = 4096;

inline constexpr std::chrono::milliseconds kVersionInterval{500};

class LocalNotifier {
 public:
  /// `version`: changes when others have written. Called on the listeners' threads.
  explicit LocalNotifier(std::function<std::int64_t()> version);
  ~LocalNotifier();

  /// Not to be kept longer than the notifier.
  std::unique_ptr<SqlListener> listen(SqlListener::Handler handler);
  /// Never waits for listeners.
  void notify(const std::string& text);

 private:
  class Listener;

  const std::function<std::int64_t()> version_;
  std::mutex mutex_;
  std::set<Listener*> listeners_;  // guarded by mutex_
};

}  // namespace higgs::boson
