#include "sim/nat_box.h"

#include <algorithm>

namespace higgs::sim {
namespace {

using namespace std::chrono_literals;

// Less than the two minutes that RFC 4787 asks for (REQ-5), as many do.
constexpr auto kForgetAfter = 30s;
constexpr std::uint16_t kLowestPort = 10000;

}  // namespace

NatBox::NatBox(const NatType& type, const IpAddress& outside, std::uint64_t seed)
    : type_(type), outside_(outside), random_(seed), next_port_(0) {
  restart();
}

void NatBox::restart() {
  mappings_.clear();
  next_port_ = static_cast<std::uint16_t>(kLowestPort + random_() % 40000);
}

void NatBox::set_outside(const IpAddress& outside) {
  outside_ = outside;
  mappings_.clear();
}

Endpoint NatBox::masked(Dependence dependence, const Endpoint& endpoint) {
  if (dependence == Dependence::kEndpointIndependent) return {};
  if (dependence == Dependence::kAddress) return {endpoint.address, 0};
  return endpoint;
}

bool NatBox::taken(std::uint16_t port, const Endpoint& by_other_than) const {
  return std::any_of(mappings_.begin(), mappings_.end(),
                     [&](const Mapping& mapping) { return mapping.port == port && mapping.inside != by_other_than; });
}

std::uint16_t NatBox::new_port(const Endpoint& inside) {
  if (type_.ports == Ports::kPreserved && !taken(inside.port, inside)) return inside.port;
  for (;;) {
    const auto port =
        type_.ports == Ports::kSequential ? next_port_++ : static_cast<std::uint16_t>(kLowestPort + random_() % 50000);
    if (port >= kLowestPort && !taken(port, {})) return port;
  }
}

Endpoint NatBox::outbound(Instant now, const Endpoint& inside, const Endpoint& to) {
  std::erase_if(mappings_, [&](const Mapping& mapping) { return now - mapping.used > kForgetAfter; });
  const Endpoint destination = masked(type_.mapping, to);
  auto mapping = std::find_if(mappings_.begin(), mappings_.end(), [&](const Mapping& one) {
    return one.inside == inside && one.destination == destination;
  });
  if (mapping == mappings_.end()) {
    const std::uint16_t port = type_.translates ? new_port(inside) : inside.port;
    mapping = mappings_.insert(mappings_.end(), {inside, destination, port, now, {}});
  }
  mapping->used = now;
  mapping->peers[to] = now;
  return type_.translates ? Endpoint{outside_, mapping->port} : inside;
}

bool NatBox::admits(Instant now, const Mapping& mapping, const Endpoint& from) const {
  if (type_.filtering == Dependence::kEndpointIndependent) return true;
  return std::any_of(mapping.peers.begin(), mapping.peers.end(), [&](const auto& peer) {
    return masked(type_.filtering, peer.first) == masked(type_.filtering, from) && now - peer.second <= kForgetAfter;
  });
}

std::optional<Endpoint> NatBox::inbound(Instant now, const Endpoint& to, const Endpoint& from) {
  if (!type_.translates && type_.filtering == Dependence::kEndpointIndependent) return to;
  for (const Mapping& mapping : mappings_) {
    const bool ours = type_.translates ? mapping.port == to.port : mapping.inside == to;
    if (ours && now - mapping.used <= kForgetAfter && admits(now, mapping, from)) return mapping.inside;
  }
  return std::nullopt;
}

}  // namespace higgs::sim
