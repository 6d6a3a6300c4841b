// What is to be done to which server.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"

namespace higgs::node_load {

struct Options {
  std::string server;              ///< its public URL, for which registrations are signed
  Endpoint at;                     ///< where it is reached
  std::string pin;                 ///< sha256/…
  std::vector<IpAddress> sources;  ///< own addresses, in turn: a server limits connections from one
  unsigned nodes = 50'000;
  unsigned connections = 5'000;
  unsigned parallel = 16;  ///< connections over which nodes register, and handshakes at a time
  std::chrono::seconds interval{30};
  std::chrono::seconds warm_up{35};
  std::chrono::seconds measured{60};  ///< of each period
  unsigned rounds = 1;                ///< of a period without routes and, if there are any, one with them
  double routes_per_second = 0;
  std::string user, password_file;  ///< who asks for routes
};

/// nullopt: `status` is what to exit with.
std::optional<Options> parse_options(int argc, char** argv, int& status);

}  // namespace higgs::node_load
