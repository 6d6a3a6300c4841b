// Events to the handlers of this program, in order, on a thread of its own, so that whoever publishes waits for nobody.
// Bounded: what does not fit is dropped, and a resync stands in its place.
#pragma once

#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "bosonserver/cache/event_bus.h"

namespace higgs::boson {

class EventDispatcher {
 public:
  EventDispatcher();
  /// What is still queued is dropped. All subscriptions have ended.
  ~EventDispatcher();
  EventDispatcher(const EventDispatcher&) = delete;
  EventDispatcher& operator=(const EventDispatcher&) = delete;

  void push(std::string topic, std::string payload);
  void push_resync();
  std::unique_ptr<EventSubscription> subscribe(EventHandlers handlers);
  std::uint64_t dropped() const;

 private:
  class Subscription;
  struct Event {
    std::string topic, payload;  ///< without a topic: a resync
  };
  void run();
  void deliver(const Event& event);
  void add(Event event);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> queue_;
  std::uint64_t dropped_ = 0;
  bool stopping_ = false;
  /// Held while handlers run, by the thread that runs them: a handler may subscribe, and end subscriptions.
  std::recursive_mutex delivery_;
  std::list<EventHandlers> subscribers_;
  std::list<EventHandlers>::iterator next_;  ///< whose turn it is then; an ending subscription moves it on
  std::thread thread_;
};

}  // namespace higgs::boson
