// The UPnP Internet gateway that is this host's router, over miniupnpc. Calls block: a search for some three seconds,
// the rest for as long as the router takes (the library gives up after a few silent seconds).
//
// Everybody in the LAN may answer a search: only descriptions and control URLs at the gateway's own address are used.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/random.h"

namespace higgs::net {

class UpnpGateway {
 public:
  struct Options {
    IpAddress gateway, address;  ///< the router's and this host's, both IPv4
    std::uint16_t port = 0;
    std::chrono::seconds lifetime{3600};
    std::string description;
  };
  UpnpGateway(Options options, RandomSource& random);
  ~UpnpGateway();

  /// Looks for the gateway. False: failure() says why.
  bool find();
  /// The outside endpoint; the same port as inside if it is free.
  std::optional<Endpoint> map();
  enum class Check { kStands, kForgotten, kGone };  ///< kGone: the gateway does not answer, look for it again
  Check check();
  void unmap();
  /// The lease that was granted; 0: until it is removed.
  std::chrono::seconds lease() const noexcept;
  const std::string& failure() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether "http://HOST…" names exactly this address. Pure.
bool url_is_at(std::string_view url, const IpAddress& address) noexcept;

}  // namespace higgs::net
