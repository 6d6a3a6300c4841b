// What a volunteer can set, with its defaults. See settings.cpp for names and descriptions.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "config/schema.h"
#include "net/trace_settings.h"
#include "runtime/log.h"

namespace higgs::node {

struct EgressSettings {
  std::vector<IpPrefix> deny;                              ///< besides what is never reachable
  std::vector<std::uint16_t> deny_ports = {25, 465, 587};  ///< TCP and UDP; these three cannot be opened
  std::uint32_t connections_per_client = 2048;
};

struct PrivacySettings {
  bool anonymize_ips = true;
  bool log_metadata = true;  ///< session start, end and bytes; never a destination
};

struct Settings {
  std::string server;
  std::optional<std::string> pin;
  std::optional<std::filesystem::path> ca;
  std::filesystem::path state_dir = "/var/lib/higgsnode";
  runtime::log::Level log_level = runtime::log::Level::kInfo;
  runtime::log::Format log_format = runtime::log::Format::kText;

  std::optional<std::string> country;
  std::optional<std::string> region;
  std::optional<double> latitude, longitude;
  std::uint32_t max_connections = 64;
  double bandwidth_up_mbps = 100, bandwidth_down_mbps = 100;

  std::string interface = "higgs-node%d";
  std::uint32_t mtu = 1420;
  std::optional<std::uint16_t> listen_port;
  bool traversal = true;
  bool port_mapping = true;
  std::optional<IpPrefix> prefix_v4, prefix_v6;
  std::chrono::seconds heartbeat_interval{10};
  std::chrono::seconds metrics_interval{60};
  EgressSettings egress;
  PrivacySettings privacy;
  net::TraceSettings tracing;
};

void declare(config::Schema& schema, Settings& settings);

}  // namespace higgs::node
