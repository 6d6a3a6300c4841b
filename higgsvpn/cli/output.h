// What people and scripts read: text with or without colour, JSON lines, amounts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/node.h"
#include "base/time.h"
#include "higgsvpn/connection_report.h"
#include "higgsvpn/failure.h"

namespace higgs::vpn {

/// Foreign text without control characters, so that a server cannot move a terminal's cursor.
std::string printable(std::string_view text);
std::string human_bytes(std::uint64_t bytes);
std::string human_duration(std::chrono::seconds duration);

/// "connected to 1b2c… through the relay, 23 ms, ↓ 1.2 GiB ↑ 30 MiB, 1:23:45", without a line break.
std::string status_line(const ConnectionReport& report, WallTime now);
/// Several lines, as `status` prints them.
std::string status_text(const ConnectionReport& report, WallTime now);
std::string stats_text(const ConnectionReport& report);
std::string nodes_table(const std::vector<api::NodeSummary>& nodes);
std::string nodes_json(const std::vector<api::NodeSummary>& nodes);

/// Prints to stderr, or with `json` as {"error": …} to stdout; returns the exit status.
int fail(const Failure& failure, bool json);
std::string failure_json(const Failure& failure);

}  // namespace higgs::vpn
