#include "bosonserver/cache/event_bus.h"

#include <algorithm>

HIGGS_ERROR_CATEGORY(higgs::boson, EventError, "boson.event_bus") {
  switch (error) {
    case EventError::kTopic:
      return "not a topic";
    case EventError::kPayload:
      return "the event is too large";
  }
  return "unknown error of the event bus";
}

namespace higgs::boson {

Result<void> check_event(std::string_view topic, std::string_view payload) noexcept {
  const bool named = std::all_of(topic.begin(), topic.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '/';
  });
  if (topic.empty() || topic.size() > kMaxEventTopicBytes || !named) return EventError::kTopic;
  if (payload.size() > kMaxEventPayloadBytes) return EventError::kPayload;
  return {};
}

}  // namespace higgs::boson
