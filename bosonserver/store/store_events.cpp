#include "bosonserver/store/store_events.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace higgs::boson {
namespace {

/// In the order of StoreEvent::Kind.
constexpr std::array<std::string_view, 6> kKinds{"sessions-ended", "nodes-changed", "nodes-banned",
                                                 "keys-changed",   "users-changed", "nodes-moved"};
constexpr std::string_view kNoDetail = "-";

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= kMaxStoreEventDetail && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

/// Up to the next space, which it takes along.
std::string_view take_word(std::string_view& text) {
  const auto end = std::min(text.find(' '), text.size());
  const auto word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

}  // namespace

std::string encode_event(const StoreEvent& event) {
  HIGGS_ASSERT(event.kind != StoreEvent::Kind::kResync && event.ids.size() <= kMaxStoreEventIds);
  std::string text(kKinds[static_cast<std::size_t>(event.kind)]);
  // A reason that is no word is one of a later version, or nobody's: none is as good.
  text += " " + (is_word(event.detail) ? event.detail : std::string(kNoDetail));
  for (const auto& id : event.ids) text += " " + id.to_string();
  return text;
}

std::optional<StoreEvent> decode_event(std::string_view text) {
  const auto* const kind = std::find(kKinds.begin(), kKinds.end(), take_word(text));
  if (kind == kKinds.end()) return std::nullopt;
  StoreEvent event;
  event.kind = static_cast<StoreEvent::Kind>(kind - kKinds.begin());
  const auto detail = take_word(text);
  if (!is_word(detail)) return std::nullopt;
  if (detail != kNoDetail) event.detail = detail;
  while (!text.empty()) {
    const auto id = Uuid::parse(take_word(text));
    if (!id || event.ids.size() == kMaxStoreEventIds) return std::nullopt;
    event.ids.push_back(*id);
  }
  return event;
}

}  // namespace higgs::boson
