// Watches what a host puts on the network, from outside: how many checks a second, and to how many addresses within one
// attempt (the same pair of user names).
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/time.h"

namespace higgs::sim {

class ProbeAudit {
 public:
  /// Of a check inside a TURN indication or channel, `to` is the peer.
  void sent(Instant now, const Endpoint& to, ByteView datagram);
  std::size_t most_in_a_second() const { return most_in_a_second_; }
  std::size_t most_destinations() const { return most_destinations_; }
  std::uint64_t requests() const { return requests_; }

 private:
  std::deque<Instant> recent_;
  std::map<std::string, std::set<Endpoint>, std::less<>> destinations_;
  std::size_t most_in_a_second_ = 0, most_destinations_ = 0;
  std::uint64_t requests_ = 0;
};

}  // namespace higgs::sim
