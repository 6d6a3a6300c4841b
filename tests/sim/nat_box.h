// A NAT of any behaviour (RFC 4787), or a firewall that translates nothing. It keeps mappings, and forgets them after
// silence or when it is restarted.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "base/ip.h"
#include "base/time.h"
#include "sim/nat_type.h"

namespace higgs::sim {

class NatBox {
 public:
  NatBox(const NatType& type, const IpAddress& outside, std::uint64_t seed);

  /// The source that the world sees of a packet from `inside` to `to`.
  Endpoint outbound(Instant now, const Endpoint& inside, const Endpoint& to);
  /// Who inside gets what `from` sends to this endpoint of ours; nobody where it is filtered.
  std::optional<Endpoint> inbound(Instant now, const Endpoint& to, const Endpoint& from);
  void restart();
  void set_outside(const IpAddress& outside);
  const IpAddress& outside() const { return outside_; }
  const NatType& type() const { return type_; }

 private:
  struct Mapping {
    Endpoint inside, destination;  ///< of the destination, as much as the mapping depends on
    std::uint16_t port = 0;
    Instant used{};
    std::map<Endpoint, Instant> peers;
  };
  static Endpoint masked(Dependence dependence, const Endpoint& endpoint);
  std::uint16_t new_port(const Endpoint& inside);
  bool taken(std::uint16_t port, const Endpoint& by_other_than) const;
  bool admits(Instant now, const Mapping& mapping, const Endpoint& from) const;

  NatType type_;
  IpAddress outside_;
  std::mt19937_64 random_;
  std::uint16_t next_port_;
  std::vector<Mapping> mappings_;
};

}  // namespace higgs::sim
