// What higgsvpn can be told by file, environment and flags (libs/config).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "config/schema.h"
#include "net/trace_settings.h"
#include "path/path_manager.h"
#include "runtime/log.h"

namespace higgs::vpn {

struct Settings {
  std::filesystem::path state_dir;
  runtime::log::Level log_level = runtime::log::Level::kWarn;
  // Of `connect`:
  std::optional<std::string> node, country, region;
  std::optional<double> min_bandwidth, max_latency;
  std::vector<IpAddress> dns;
  bool kill_switch = true;
  bool allow_lan = false;
  path::Policy path = path::Policy::kAuto;
  net::TraceSettings tracing;
};

/// Both must outlive the schema's use.
void declare(config::Schema& schema, Settings& settings);

}  // namespace higgs::vpn
