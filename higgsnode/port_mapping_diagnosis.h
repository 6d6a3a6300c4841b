// `higgsnode diagnose portmap`: asks the router for a port, says what came of it, and gives it back.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "net/port_mapper.h"

namespace higgs::node {

struct PortMappingDiagnosis {
  std::uint16_t port = 0;        ///< 0: a free one
  std::chrono::seconds hold{0};  ///< how long the mapping is kept; each change is told
  bool json = false;
};

/// Prints to standard output. The exit code: 0 if the internet reaches a mapped port, else 1.
int diagnose_port_mapping(const PortMappingDiagnosis& request);

nlohmann::json port_mapping_json(const net::PortMapperStatus& status);
/// A line for each protocol.
std::string port_mapping_text(const net::PortMapperStatus& status);

}  // namespace higgs::node
