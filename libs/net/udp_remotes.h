// What a UDP port remembers of its peers: the local address each is answered from, and whether trains work.
#pragma once

#include <optional>
#include <unordered_map>

#include "base/ip.h"

namespace higgs::net {

struct UdpSource {
  IpAddress address;
  unsigned interface = 0;  ///< of the kernel's numbering; needed for link-local addresses only
  friend bool operator==(const UdpSource&, const UdpSource&) = default;
};

struct UdpRemote {
  std::optional<UdpSource> source;
  bool heard = true;  ///< since the last message that demanded an answer
  /// Sends left before trains are tried again; 0: they are in use.
  unsigned singly = 0;
};

class UdpRemotes {
 public:
  /// Above it an arbitrary peer is forgotten, which costs it nothing but what was learnt.
  static constexpr std::size_t kLimit = 8192;

  UdpRemote& operator[](const Endpoint& remote) {
    const auto found = remotes_.find(remote);
    if (found != remotes_.end()) return found->second;
    if (remotes_.size() >= kLimit) remotes_.erase(remotes_.begin());
    return remotes_[remote];
  }
  void forget_sources() noexcept {
    for (auto& [endpoint, remote] : remotes_) remote.source.reset();
  }
  std::size_t size() const noexcept { return remotes_.size(); }

 private:
  std::unordered_map<Endpoint, UdpRemote> remotes_;
};

}  // namespace higgs::net
