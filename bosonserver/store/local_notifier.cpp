#include "bosonserver/store/local_notifier.h"

#include <condition_variable>
#include <deque>
#include <thread>
#include <utility>

namespace higgs::boson {

class LocalNotifier::Listener final : public SqlListener {
 public:
  Listener(LocalNotifier& notifier, Handler handler)
      : notifier_(notifier), handler_(std::move(handler)), seen_(notifier.version_()) {
    {
      const std::lock_guard lock(notifier_.mutex_);
      notifier_.listeners_.insert(this);
    }
    // Only now: what is notified after the gap that it begins with must be heard.
    thread_ = std::thread([this] { run(); });
  }
  ~Listener() override {
    {
      const std::lock_guard lock(notifier_.mutex_);
      notifier_.listeners_.erase(this);
    }
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void push(const std::string& text) {
    {
      const std::lock_guard lock(mutex_);
      if (queue_.size() >= kMaxQueuedNotifications) {
        // Whoever looks at everything again needs none of those that wait.
        queue_.clear();
        lost_ = true;
      }
      if (!lost_) queue_.push_back(text);
    }
    wake_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      const bool woken =
          wake_.wait_for(lock, kVersionInterval, [this] { return stopping_ || lost_ || !queue_.empty(); });
      if (stopping_) return;
      if (!woken) {
        lock.unlock();
        const auto version = notifier_.version_();
        lock.lock();
        lost_ = lost_ || version != std::exchange(seen_, version);
        continue;
      }
      SqlNotification notification;
      if (lost_) {
        lost_ = false;
        notification.gap = std::chrono::seconds(0);
      } else {
        notification.text = std::move(queue_.front());
        queue_.pop_front();
      }
      lock.unlock();
      handler_(notification);
      lock.lock();
    }
  }

  LocalNotifier& notifier_;
  const Handler handler_;
  std::int64_t seen_;  ///< on the thread
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::string> queue_;  // guarded by mutex_
  bool lost_ = true;               // guarded by mutex_; what came before this listener
  bool stopping_ = false;          // guarded by mutex_
  std::thread thread_;
};

LocalNotifier::LocalNotifier(std::function<std::int64_t()> version) : version_(std::move(version)) {}
LocalNotifier::~LocalNotifier() = default;

std::unique_ptr<SqlListener> LocalNotifier::listen(SqlListener::Handler handler) {
  return std::make_unique<Listener>(*this, std::move(handler));
}

void LocalNotifier::notify(const std::string& text) {
  const std::lock_guard lock(mutex_);
  for (auto* listener : listeners_) listener->push(text);
}

}  // namespace higgs::boson
