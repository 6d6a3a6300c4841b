// The oracle: which path theory allows between two ends, from the kinds of their NATs alone. It knows nothing of ICE,
// of the code under test, or of the simulated network.
#pragma once

#include "sim/nat_type.h"

namespace higgs::sim {

struct EndType {
  bool udp = true;  ///< false: all UDP is blocked
  NatType v4;
  bool v6 = false;  ///< has an IPv6 address, behind a firewall at most
};

enum class Best { kDirectV6, kDirectV4, kTurn, kRelay };

struct Theory {
  Best best = Best::kRelay;
  /// Only who guesses the next port of a sequential allocator gets through: such a pair may be direct, and need not.
  bool direct_by_luck = false;
};

Theory best_path(const EndType& a, const EndType& b);

/// Two ends that know how a server sees the other, and that send to whatever they see the other send from: is there a
/// pair of outside ports over which both hear each other? `foresee`: the ports of sequential allocators are known.
bool direct_is_possible(const NatType& a, const NatType& b, bool foresee);

}  // namespace higgs::sim
