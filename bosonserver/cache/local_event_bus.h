// The bus of a server that is alone.
#pragma once

#include "bosonserver/cache/event_dispatcher.h"

namespace higgs::boson {

class LocalEventBus final : public EventBus {
 public:
  Result<void> publish(const std::string& topic, const std::string& payload) override {
    const auto checked = check_event(topic, payload);
    if (checked) dispatcher_.push(topic, payload);
    return checked;
  }
  std::unique_ptr<EventSubscription> subscribe(EventHandlers handlers) override {
    return dispatcher_.subscribe(std::move(handlers));
  }
  EventStats stats() const override {
    EventStats stats;
    stats.dropped = dispatcher_.dropped();
    return stats;
  }

 private:
  EventDispatcher dispatcher_;
};

}  // namespace higgs::boson
