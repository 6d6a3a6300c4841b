#include "bosonserver/cache/event_message.h"

#include <algorithm>

#include "bosonserver/cache/event_bus.h"

namespace higgs::boson {

std::optional<EventMessage> EventMessage::parse(std::string_view text) noexcept {
  if (text.size() < kEventOriginBytes + 2 || text[kEventOriginBytes] != ':') return std::nullopt;
  EventMessage message;
  message.origin = text.substr(0, kEventOriginBytes);
  const bool hex = std::all_of(message.origin.begin(), message.origin.end(),
                               [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  const auto rest = text.substr(kEventOriginBytes + 1);
  const auto colon = rest.find(':');
  if (!hex || colon == rest.npos) return std::nullopt;
  message.topic = rest.substr(0, colon);
  message.payload = rest.substr(colon + 1);
  if (message.is_resync() ? !message.payload.empty() : !check_event(message.topic, message.payload))
    return std::nullopt;
  return message;
}

std::string EventMessage::to_string() const {
  std::string text;
  text.reserve(origin.size() + topic.size() + payload.size() + 2);
  return text.append(origin).append(":").append(topic).append(":").append(payload);
}

}  // namespace higgs::boson
