#include "bosonserver/cache/event_dispatcher.h"

#include <utility>

#include "base/assert.h"
#include "runtime/log.h"

namespace higgs::boson {

class EventDispatcher::Subscription final : public EventSubscription {
 public:
  Subscription(EventDispatcher& dispatcher, EventHandlers handlers) : dispatcher_(dispatcher) {
    const std::lock_guard lock(dispatcher_.delivery_);
    handlers_ = dispatcher_.subscribers_.insert(dispatcher_.subscribers_.end(), std::move(handlers));
  }
  ~Subscription() override {
    const std::lock_guard lock(dispatcher_.delivery_);
    const bool was_next = dispatcher_.next_ == handlers_;
    const auto after = dispatcher_.subscribers_.erase(handlers_);
    if (was_next) dispatcher_.next_ = after;
  }

 private:
  EventDispatcher& dispatcher_;
  std::list<EventHandlers>::iterator handlers_;
};

EventDispatcher::EventDispatcher() : next_(subscribers_.end()), thread_([this] { run(); }) {}

EventDispatcher::~EventDispatcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  HIGGS_ASSERT(subscribers_.empty());
}

std::unique_ptr<EventSubscription> EventDispatcher::subscribe(EventHandlers handlers) {
  return std::make_unique<Subscription>(*this, std::move(handlers));
}

void EventDispatcher::push(std::string topic, std::string payload) { add({std::move(topic), std::move(payload)}); }
void EventDispatcher::push_resync() { add({}); }

void EventDispatcher::add(Event event) {
  {
    const std::lock_guard lock(mutex_);
    const bool resync_is_last = !queue_.empty() && queue_.back().topic.empty();
    if (resync_is_last && event.topic.empty()) return;
    // The last place is kept for the resync that stands for what is dropped.
    if (queue_.size() + 1 >= kMaxQueuedEvents) {
      if (!event.topic.empty()) ++dropped_;
      if (resync_is_last) return;
      event = {};
    }
    queue_.push_back(std::move(event));
  }
  changed_.notify_one();
}

void EventDispatcher::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const Event event = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    deliver(event);
    lock.lock();
  }
}

void EventDispatcher::deliver(const Event& event) {
  const std::lock_guard lock(delivery_);
  next_ = subscribers_.begin();
  while (next_ != subscribers_.end()) {
    // A copy: a handler may end its own subscription.
    const EventHandlers handlers = *next_++;
    try {
      if (event.topic.empty())
        handlers.resync();
      else
        handlers.event(event.topic, event.payload);
    } catch (const std::exception& error) {
      runtime::log::error("a handler of events failed", {{"topic", event.topic}, {"error", error.what()}});
    }
  }
}

std::uint64_t EventDispatcher::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

}  // namespace higgs::boson
