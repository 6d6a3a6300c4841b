// An event as servers send it to each other. Text, so that `redis-cli subscribe` shows it:
//
//   origin ":" topic ":" payload
//
// origin: 16 lower-case hexadecimal digits, drawn anew by each program that runs; a server knows its own by it, which
// it has delivered already. No topic: events of this origin may have been lost (a resync). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace higgs::boson {

inline constexpr std::size_t kEventOriginBytes = 16;

struct EventMessage {
  std::string_view origin, topic, payload;

  /// What check_event() would not take is none.
  static std::optional<EventMessage> parse(std::string_view text) noexcept;
  std::string to_string() const;
  bool is_resync() const noexcept { return topic.empty(); }
};

}  // namespace higgs::boson
