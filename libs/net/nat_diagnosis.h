// `diagnose nat` of both programs.
#pragma once

#include <cstdint>
#include <string>

#include "net/nat_type_monitor.h"

namespace higgs::net {

struct NatDiagnosis {
  std::string program;  ///< for messages
  StunServerName server;
  std::uint32_t mark = 0;
  bool json = false;
};

/// Prints to standard output. The exit code: 0 if the type is known and UDP passes, else 1.
int diagnose_nat(const NatDiagnosis& request);

}  // namespace higgs::net
