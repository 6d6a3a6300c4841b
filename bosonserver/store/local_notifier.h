// Carries notifications to the listeners of this process, each on a thread of its own. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "bosonserver/store/sql_database.h"

namespace higgs::boson {

/// That wait for one listener. Above it they are dropped, and it hears of a gap.
inline constexpr std::size_t kMaxQueuedNotifications = 4096;

class LocalNotifier {
 public:
  LocalNotifier();
  ~LocalNotifier();

  /// Not to be kept longer than the notifier.
  std::unique_ptr<SqlListener> listen(SqlListener::Handler handler);
  /// Never waits for listeners.
  void notify(const std::string& text);

 private:
  class Listener;

  std::mutex mutex_;
  std::set<Listener*> listeners_;  // guarded by mutex_
};

}  // namespace higgs::boson
