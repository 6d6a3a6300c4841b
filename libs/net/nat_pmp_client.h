// One UDP port mapped by NAT-PMP (RFC 6886), over libnatpmp. It never blocks: the caller polls fd() until
// poll_timeout() and then calls run(). Answers from anybody but the gateway's port 5351 never arrive (a connected
// socket).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/ip.h"
#include "base/time.h"

namespace higgs::net {

class NatPmpClient {
 public:
  struct Options {
    IpAddress gateway;  ///< IPv4
    std::uint16_t port = 0;
    std::chrono::seconds lifetime{3600};
    std::chrono::seconds check{5};
    std::uint32_t mark = 0;
  };
  struct Mapping {
    Endpoint external;
    std::chrono::seconds lifetime{0};
    Instant until{};
  };

  NatPmpClient(Instant now, const Options& options);
  ~NatPmpClient();

  int fd() const noexcept;  ///< -1: there is no socket
  std::optional<Instant> poll_timeout(Instant now) const;
  void run(Instant now);

  /// The router may have forgotten: asks for the mapping at once.
  void refresh(Instant now);
  /// Asks for the removal of what stands or was asked for, until release_done().
  void release(Instant now);
  bool release_done() const noexcept;

  const std::optional<Mapping>& mapping() const noexcept;
  const std::string& failure() const noexcept;
  /// The router says so: it is behind another NAT, or offline.
  bool no_outside_address() const noexcept;
  std::uint64_t restarts() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::net
