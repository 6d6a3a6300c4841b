#include "higgsvpn/cli/output.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace higgs::vpn {
namespace {

using State = ConnectionMachine::State;
using Json = nlohmann::json;

std::string join(const std::vector<IpAddress>& addresses) {
  std::string text;
  for (const IpAddress& address : addresses) text += (text.empty() ? "" : ", ") + address.to_string();
  return text;
}

std::string state_words(const ConnectionReport& report) {
  const std::string node = report.node ? to_string(*report.node) : "a node";
  switch (report.state) {
    case State::kConnecting:
      return "connecting";
    case State::kConnected:
      return "connected to " + node;
    case State::kReconnecting:
      return "reconnecting to " + node;
  }
  return "";
}

/// ", direct, 7 ms" or " through the relay, 23 ms".
std::string path_words(const ConnectionReport& report) {
  if (report.path.empty()) return "";
  std::string words = report.path.starts_with("direct") ? " directly" : " through the " + report.path;
  if (report.path == "turn") words = " through TURN";
  const auto round_trip = report.path_round_trip_ms ? report.path_round_trip_ms : report.relay_round_trip_ms;
  if (round_trip) words += fmt::format(", {:.0f} ms", *round_trip);
  return words;
}

std::string reason_words(const std::string& reason) {
  if (reason == "only-one") return "no other works";
  if (reason == "better-kind") return "better than the one before";
  if (reason == "faster") return "faster than the one before";
  if (reason == "lost-probes") return "the one before lost its probes";
  if (reason == "removed") return "the one before is gone";
  if (reason == "followed-peer") return "the far end chose it";
  if (reason == "policy") return "wanted so (--path)";
  return reason;
}

std::string location_of(const api::NodeSummary& node) {
  if (!node.location) return "-";
  const std::string region = printable(node.location->region);
  return printable(node.location->country) + (region.empty() ? "" : " " + region);
}

std::string status_of(const api::NodeSummary& node) { return std::string(api::to_string(node.status)); }

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  for (const char c : text) result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return result;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 6> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < kUnits.size(); ++unit) amount /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

std::string human_duration(std::chrono::seconds duration) {
  const auto all = std::max<std::int64_t>(0, duration.count());
  const auto hours = all / 3600, minutes = all / 60 % 60, seconds = all % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, seconds) : fmt::format("{}:{:02}", minutes, seconds);
}

std::string status_line(const ConnectionReport& report, WallTime now) {
  std::string line = state_words(report);
  if (report.state != State::kConnected) return line + (report.trouble.empty() ? "" : ": " + printable(report.trouble));
  line += path_words(report);
  line += fmt::format(", ↓ {} ↑ {}", human_bytes(report.received_bytes), human_bytes(report.sent_bytes));
  if (report.connected_since) {
    line += ", " + human_duration(std::chrono::seconds(unix_seconds(now) - unix_seconds(*report.connected_since)));
  }
  return line;
}

std::string status_text(const ConnectionReport& report, WallTime now) {
  std::string text = state_words(report) + "\n";
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) text += fmt::format("  {:<12} {}\n", name, printable(value));
  };
  if (report.state != State::kConnected) row("trouble", report.trouble);
  row("server", report.server);
  row("path", report.path);
  row("why", report.path.empty() ? "" : reason_words(report.path_reason));
  if (report.path_since) {
    row("path since", human_duration(std::chrono::seconds(unix_seconds(now) - unix_seconds(*report.path_since))));
  }
  if (report.path_remote) row("remote", report.path_remote->to_string());
  if (report.path_round_trip_ms) {
    row("round trip", fmt::format("{:.1f} ms, {:.0f} % lost", *report.path_round_trip_ms, report.path_loss * 100));
  }
  row("NAT", report.nat_type);
  row("interface", report.ifname);
  row("addresses", join(report.addresses));
  row("DNS", join(report.dns));
  row("kill switch", report.kill_switch ? "on" : "off");
  if (report.connected_since) {
    row("since", human_duration(std::chrono::seconds(unix_seconds(now) - unix_seconds(*report.connected_since))));
  }
  if (report.last_handshake) {
    row("handshake",
        human_duration(std::chrono::seconds(unix_seconds(now) - unix_seconds(*report.last_handshake))) + " ago");
  }
  row("received", human_bytes(report.received_bytes));
  row("sent", human_bytes(report.sent_bytes));
  return text;
}

std::string stats_text(const ConnectionReport& report) {
  std::string text = fmt::format("  received     {}, {:.1f} Mbit/s\n  sent         {}, {:.1f} Mbit/s\n",
                                 human_bytes(report.received_bytes), report.received_mbps,
                                 human_bytes(report.sent_bytes), report.sent_mbps);
  if (report.relay_round_trip_ms) {
    text += fmt::format("  relay        {:.1f} ms ± {:.1f} ms\n", *report.relay_round_trip_ms, report.relay_jitter_ms);
  }
  if (report.path_round_trip_ms) {
    text += fmt::format("  path         {}, {:.1f} ms, {:.0f} % lost\n", report.path, *report.path_round_trip_ms,
                        report.path_loss * 100);
  }
  if (report.time_to_direct_ms) text += fmt::format("  direct after {} ms\n", *report.time_to_direct_ms);
  return text + fmt::format(
                    "  switches     {}, of them from direct {}\n  searches     {} again\n"
                    "  copied       {} packets over a second path\n  dropped      {} packets\n"
                    "  reconnects   {}\n",
                    report.path_switches, report.path_fallbacks, report.path_restarts, report.duplicated_packets,
                    report.dropped_packets, report.reconnects);
}

std::string nodes_table(const std::vector<api::NodeSummary>& nodes) {
  if (nodes.empty()) return "no node fits\n";
  std::string text = fmt::format("{:<36}  {:<20}  {:<8}  {:>6}  {:>5}  {:>8}  {}\n", "NODE", "LOCATION", "STATUS", "MS",
                                 "LOAD", "MBIT/S", "BLOCKED PORTS");
  for (const api::NodeSummary& node : nodes) {
    std::string blocked;
    if (const auto policy = node.key_certificate.policy()) {
      for (const std::uint16_t port : policy->blocked_ports)
        blocked += (blocked.empty() ? "" : ",") + std::to_string(port);
    }
    text += fmt::format("{:<36}  {:<20.20}  {:<8}  {:>6.0f}  {:>4.0f}%  {:>8.0f}  {}\n", to_string(node.node_id),
                        location_of(node), status_of(node), node.latency, node.load, node.capabilities.bandwidth.down,
                        blocked.empty() ? "-" : blocked);
  }
  return text;
}

std::string nodes_json(const std::vector<api::NodeSummary>& nodes) {
  Json list = Json::array();
  for (const api::NodeSummary& node : nodes) list.push_back(Json::parse(api::encode(node)));
  return list.dump() + "\n";
}

std::string failure_json(const Failure& failure) {
  return Json{{"code", static_cast<int>(failure.code)}, {"message", failure.message}, {"remedy", failure.remedy}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
}

int fail(const Failure& failure, bool as_json) {
  if (as_json) {
    std::printf("{\"error\":%s}\n", failure_json(failure).c_str());
  } else {
    std::fprintf(stderr, "higgsvpn: %s\n", printable(failure.message).c_str());
    if (!failure.remedy.empty()) std::fprintf(stderr, "  → %s\n", printable(failure.remedy).c_str());
  }
  return static_cast<int>(failure.code);
}

}  // namespace higgs::vpn
