#include "bosonserver/relay/announcements.h"

#include <array>

#include <nlohmann/json.hpp>

namespace higgs::boson {

namespace {

constexpr std::array<std::string_view, 4> kAnnouncedPaths = {"direct-v6", "direct-v4", "turn", "relay"};

/// The text field of that name.
std::optional<std::string> field_of(const relay::PeerMessage& message, const char* name) {
  const auto document = nlohmann::json::parse(message.payload_json, nullptr, false);
  if (!document.is_object()) return std::nullopt;
  const auto found = document.find(name);
  if (found == document.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

}  // namespace

std::optional<IpAddress> announced_address(const relay::PeerMessage& message) {
  const auto text = field_of(message, "address");
  return text ? IpAddress::parse(*text) : std::nullopt;
}

std::optional<std::string_view> announced_path(const relay::PeerMessage& message) {
  const auto text = field_of(message, "path");
  if (!text) return std::nullopt;
  for (const auto path : kAnnouncedPaths)
    if (path == *text) return path;
  return std::nullopt;
}

}  // namespace higgs::boson
