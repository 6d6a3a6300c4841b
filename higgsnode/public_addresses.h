// The addresses that this host's router has on the internet, as far as anybody told: clients must not reach them, since
// routers answer their own network there (an admin page, port forwards) whatever they do for the rest of the world.
// Pure.
#pragma once

#include <map>
#include <vector>

#include "base/ip.h"

namespace higgs::node {

class PublicAddresses {
 public:
  enum class Source {
    kServer,   ///< where the server saw a request come from: one family at a time
    kStun,     ///< how STUN servers see the tunnel's port
    kNatType,  ///< how they saw the discovery of the NAT's type
    kRouter,   ///< where the router maps ports from
  };

  /// What a source says now. Families that it does not name keep what it said of them last: an address stands until
  /// another takes its place. True if all() has changed.
  bool note(Source source, const std::vector<IpAddress>& addresses);
  /// Each once, sorted.
  const std::vector<IpAddress>& all() const noexcept { return all_; }

 private:
  struct Told {
    std::vector<IpAddress> v4, v6;
  };
  std::map<Source, Told> told_;
  std::vector<IpAddress> all_;
};

}  // namespace higgs::node
