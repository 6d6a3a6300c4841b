#include "sim/best_path.h"

#include <array>
#include <map>
#include <set>
#include <utility>

namespace higgs::sim {
namespace {

/// A port of an end, as a symbol: which number it has does not matter, only whether it is the same one.
using Symbol = int;
constexpr Symbol kServer = -1;  ///< in the place of the far end's port: the server that told how we look

struct Side {
  const NatType& type;
  bool one_port;                                    ///< whatever it sends to, it comes from the same port
  std::map<Symbol, Symbol> mapped;                  ///< far end's port → own port towards it
  std::set<std::pair<Symbol, Symbol>> opened = {};  ///< own port, far end's port it has sent to
  std::set<Symbol> known = {};                      ///< ports of the far end

  Symbol port_towards(Symbol peer) {
    if (one_port) return 0;
    if (peer != kServer && type.mapping == Dependence::kAddress) peer = 0;  // all ports of that address alike
    return mapped.try_emplace(peer, static_cast<Symbol>(mapped.size())).first->second;
  }
  bool admits(Symbol port, Symbol from) const {
    if (type.filtering == Dependence::kEndpointIndependent) return true;
    for (const auto& [own, peer] : opened) {
      if (own == port && (type.filtering == Dependence::kAddress || peer == from)) return true;
    }
    return false;
  }
  bool has(Symbol port) const {
    if (one_port) return port == 0;
    for (const auto& [peer, own] : mapped) {
      if (own == port) return true;
    }
    return false;
  }
};

bool has_one_port(const NatType& type, bool foresee) {
  return !type.translates || type.mapping == Dependence::kEndpointIndependent || type.ports == Ports::kPreserved ||
         (foresee && type.ports == Ports::kSequential);
}

}  // namespace

bool direct_is_possible(const NatType& a, const NatType& b, bool foresee) {
  std::array<Side, 2> sides = {Side{a, has_one_port(a, foresee), {}}, Side{b, has_one_port(b, foresee), {}}};
  for (int i : {0, 1}) sides[1 - i].known.insert(sides[i].port_towards(kServer));
  // Each round sends to all that is known. What has not been learned after a few rounds never will be.
  for (int round = 0; round < 6; ++round) {
    std::array<std::set<std::pair<Symbol, Symbol>>, 2> sent;
    for (int i : {0, 1}) {
      for (const Symbol peer : sides[i].known) {
        const Symbol own = sides[i].port_towards(peer);
        sides[i].opened.insert({own, peer});
        sent[i].insert({own, peer});
      }
    }
    std::array<std::set<std::pair<Symbol, Symbol>>, 2> heard;
    for (int i : {0, 1}) {
      Side& other = sides[1 - i];
      for (const auto& [own, peer] : sent[i]) {
        if (!other.has(peer) || !other.admits(peer, own)) continue;
        heard[i].insert({own, peer});
        other.known.insert(own);
      }
    }
    for (const auto& [own, peer] : heard[0]) {
      if (heard[1].contains({peer, own})) return true;
    }
  }
  return false;
}

Theory best_path(const EndType& a, const EndType& b) {
  if (!a.udp || !b.udp) return {Best::kRelay, false};
  if (a.v6 && b.v6) return {Best::kDirectV6, false};  // a firewall that both ends open from inside
  if (direct_is_possible(a.v4, b.v4, false)) return {Best::kDirectV4, false};
  return {Best::kTurn, direct_is_possible(a.v4, b.v4, true)};
}

}  // namespace higgs::sim
