// Shuts a socket down when its time is over. libpq waits for a server without limit, also for one that is paused or cut
// off, where nothing on the way would end the wait; a socket that is shut down ends it at once.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

namespace higgs::boson {

class SocketWatchdog {
 public:
  using Clock = std::chrono::steady_clock;

  /// Watches for as long as it lives.
  class Watch {
   public:
    Watch(SocketWatchdog& dog, int socket, Clock::time_point deadline);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    friend class SocketWatchdog;
    SocketWatchdog& dog_;
    std::multimap<Clock::time_point, Watch*>::iterator place_;  // guarded by dog_.mutex_
    const int socket_;
    bool over_ = false;  // guarded by dog_.mutex_
  };

  SocketWatchdog();
  ~SocketWatchdog();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::multimap<Clock::time_point, Watch*> watches_;           // guarded by mutex_
  Clock::time_point sleeps_until_ = Clock::time_point::max();  // guarded by mutex_
  bool stopping_ = false;                                      // guarded by mutex_
  std::thread thread_;
};

}  // namespace higgs::boson
