// What `status`, `stats` and `disconnect` say to the running `connect`, over the control socket of the state directory.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "higgsvpn/connection_report.h"
#include "higgsvpn/failure.h"
#include "higgsvpn/state_directory.h"

namespace higgs::vpn {

inline constexpr std::string_view kStatusRequest = "status";
inline constexpr std::string_view kDisconnectRequest = "disconnect";

/// One line of JSON; parse_report reads it back.
std::string encode_report(const ConnectionReport& report);
std::optional<ConnectionReport> parse_report(const std::string& text);

/// What the running `connect` reports; nullopt if none runs.
Outcome<std::optional<ConnectionReport>> ask_report(const StateDirectory& state);
/// Tells the running `connect` to end and waits until its process is gone; false if none runs.
Outcome<bool> ask_disconnect(const StateDirectory& state);

}  // namespace higgs::vpn
