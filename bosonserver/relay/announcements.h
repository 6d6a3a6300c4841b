// What the server reads of the messages that it passes on between peers (proto/relay.md): no more than it needs to know
// whom TURN may reach, and which path a session is on. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "base/ip.h"
#include "relay/control.h"

namespace higgs::boson {

/// Of a `candidate`.
std::optional<IpAddress> announced_address(const relay::PeerMessage& message);
/// Of a `path-changed`; nullopt also for a path that we do not know.
std::optional<std::string_view> announced_path(const relay::PeerMessage& message);

}  // namespace higgs::boson
