// The client's side of NAT behaviour discovery (RFC 5780): mapping tests I to III, filtering tests I to III. Sans-IO.
//
// Needs a fresh socket for filtering to mean anything: the tests run on two sockets, 0 for mapping and 1 for filtering,
// side by side, so that the whole takes about as long as one unanswered request. A fourth mapping test, towards the
// primary address and the other port, shows how ports are allocated and that every end of the server can be reached:
// else silence would say nothing of the NAT.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/time.h"

namespace higgs::stun {

enum class Behaviour {
  kUnknown,  ///< the server offers no second address, or answers contradict each other
  kEndpointIndependent,
  kAddressDependent,
  kAddressAndPortDependent,
};
/// How a NAT with dependent mapping picks the next outside port: sequential ones can be predicted.
enum class PortAllocation { kUnknown, kPreserved, kSequential, kRandom };
/// In the words of the API (proto/openapi.yaml).
enum class NatClass { kUnknown, kOpen, kFullCone, kRestrictedCone, kPortRestricted, kSymmetric, kUdpBlocked };
std::string_view to_string(Behaviour behaviour) noexcept;
std::string_view to_string(PortAllocation allocation) noexcept;
std::string_view to_string(NatClass nat) noexcept;

struct BehaviourReport {
  NatClass nat = NatClass::kUnknown;
  Behaviour mapping = Behaviour::kUnknown, filtering = Behaviour::kUnknown;
  bool translated = false;  ///< the mapped address is none of ours
  std::optional<Endpoint> mapped;
  PortAllocation allocation = PortAllocation::kUnknown;
  int port_step = 0;  ///< of kSequential
  /// False: the server has one address only, so that filtering and the exact mapping cannot be told.
  bool server_complete = false;
};

class BehaviourDiscovery {
 public:
  struct Options {
    Endpoint server;               ///< primary address and port
    std::vector<IpAddress> local;  ///< of this host, to tell kOpen
    std::uint16_t local_port = 0;  ///< of socket 0, to tell kPreserved; 0: not known
    std::chrono::milliseconds rto{100};
    unsigned attempts = 4;  ///< of each request
  };
  struct Transmit {
    unsigned socket = 0;  ///< 0 or 1
    Endpoint to;
    Bytes bytes;
  };

  BehaviourDiscovery(Instant now, Options options, RandomSource& random);
  ~BehaviourDiscovery();

  void handle_packet(Instant now, unsigned socket, const Endpoint& from, ByteView datagram);
  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const;
  std::optional<Transmit> poll_transmit();
  /// Set once everything is known.
  const std::optional<BehaviourReport>& report() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::stun
