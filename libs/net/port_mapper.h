// Asks the home router to map a UDP port to us: PCP (RFC 6887), NAT-PMP (RFC 6886) and UPnP-IGD (miniupnpc), tried side
// by side. The mapping is renewed at half its life, asked for again when the router forgot it (its epoch jumps, or a
// check every few seconds misses it) or the gateway changes, and removed at the end.
//
// Only the default gateway of the main table is asked, and only its answers count. IPv4.
//
// Threads: made, called and ended by the control thread; work runs on a thread of its own, `changed` is called there.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace higgs::net {

enum class MappingProtocol { kPcp, kNatPmp, kUpnp };
std::string_view to_string(MappingProtocol protocol) noexcept;

struct MappedPort {
  MappingProtocol protocol = MappingProtocol::kPcp;
  Endpoint external;
  std::chrono::seconds lifetime{0};
  /// The router's own outside address is private or shared: there is another NAT before it, and the mapping does not
  /// reach the internet.
  bool double_nat = false;
  friend bool operator==(const MappedPort&, const MappedPort&) = default;
};

struct PortMapperStatus {
  std::optional<IpAddress> gateway;
  std::vector<MappedPort> mappings;  ///< standing
  /// A mapping says so, or the router has no public address to map to (it may be offline as well).
  bool double_nat = false;
  std::vector<std::string> failures;  ///< one sentence for each protocol that gave none
  friend bool operator==(const PortMapperStatus&, const PortMapperStatus&) = default;
};

class PortMapper {
 public:
  struct Options {
    std::uint16_t port = 0;  ///< the inside UDP port; the same one outside is preferred
    std::chrono::seconds lifetime{3600};
    std::chrono::seconds check{5};  ///< how often it is looked whether the router still knows the mapping
    std::uint32_t mark = 0;         ///< SO_MARK of our own sockets; 0: none
    std::string description = "higgs";
  };
  PortMapper(Options options, std::function<void(const PortMapperStatus&)> changed);
  /// Removes what was mapped (waits at most two seconds) and joins.
  ~PortMapper();

  /// The network changed: look for the gateway again, now.
  void wake();
  PortMapperStatus status() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::net
