// Refresh (RFC 8656, section 8), CreatePermission (section 10) and ChannelBind (section 12).
#include <algorithm>
#include <set>

#include "turn/server_impl.h"

namespace higgs::turn {

namespace {

using stun::AttributeType;

/// Every XOR-PEER-ADDRESS of the message; nullopt if one is malformed.
std::optional<std::vector<Endpoint>> peers_of(const stun::Message& message) {
  std::vector<Endpoint> peers;
  for (const auto& attribute : message.all()) {
    if (attribute.type != static_cast<std::uint16_t>(AttributeType::kXorPeerAddress)) continue;
    stun::Message alone;
    alone.transaction = message.transaction;
    alone.attributes[0] = attribute;
    alone.attribute_count = 1;
    const auto peer = alone.xor_address(AttributeType::kXorPeerAddress);
    if (!peer) return std::nullopt;
    peers.push_back(*peer);
  }
  return peers;
}

}  // namespace

void Server::Impl::refresh(const Request& request, const Caller& caller) {
  std::chrono::seconds granted{};
  if (const auto error = refresh_now(request, granted)) return fail(request, caller, *error);
  ++counters_.refreshes;
  auto builder = success(request);
  builder.add_u32(AttributeType::kLifetime, static_cast<std::uint32_t>(granted.count()));
  finish(request, caller, builder);
}

std::optional<ErrorNumber> Server::Impl::refresh_now(const Request& request, std::chrono::seconds& granted) {
  Allocation& allocation = *request.allocation;
  bool ipv4 = true, ipv6 = true;
  if (const auto family = request.message.find(AttributeType::kRequestedAddressFamily)) {
    if (family->size() != 4) return ErrorNumber::kBadRequest;
    ipv4 = (*family)[0] == kIpv4Family;
    ipv6 = (*family)[0] == kIpv6Family;
    // Section 8.2: an address of another family than the allocation has.
    if (!(ipv4 && allocation.relay(false)) && !(ipv6 && allocation.relay(true)))
      return ErrorNumber::kPeerFamilyMismatch;
  }
  const auto wish = request.message.u32(AttributeType::kLifetime);
  if (request.message.has(AttributeType::kLifetime) && !wish) return ErrorNumber::kBadRequest;
  if (wish == 0u) {
    if (ipv4) close_relay(allocation, false);
    if (ipv6) close_relay(allocation, true);
    arm(allocation);
    if (!allocation.empty()) return std::nullopt;
    ++counters_.deleted;
    remove(allocation);
    return std::nullopt;
  }
  granted = lifetime_of(request.message);
  for (const bool family : {false, true})
    if (auto& relay = allocation.relay(family); relay && (family ? ipv6 : ipv4))
      relay->expires = request.now.monotonic + granted;
  arm(allocation);
  return std::nullopt;
}

std::optional<ErrorNumber> Server::Impl::check_peer(const Allocation& allocation, const Endpoint& peer) {
  if (!allocation.relay(peer.address.is_v6())) return ErrorNumber::kPeerFamilyMismatch;
  if (!authority_.permits(allocation.user(), peer.address)) return ErrorNumber::kForbidden;
  return std::nullopt;
}

void Server::Impl::create_permission(const Request& request, const Caller& caller) {
  if (const auto error = permit_now(request)) return fail(request, caller, *error);
  ++counters_.permissions;
  auto builder = success(request);
  finish(request, caller, builder);
}

/// Section 10.2: all of the addresses, or none.
std::optional<ErrorNumber> Server::Impl::permit_now(const Request& request) {
  Allocation& allocation = *request.allocation;
  const Instant now = request.now.monotonic;
  const auto peers = peers_of(request.message);
  if (!peers || peers->empty()) return ErrorNumber::kBadRequest;
  std::set<IpAddress> fresh;
  for (const auto& peer : *peers) {
    if (const auto error = check_peer(allocation, peer)) return error;
    if (!allocation.permitted(now, peer.address)) fresh.insert(peer.address);
  }
  if (!allocation.room_for(now, fresh.size())) return ErrorNumber::kInsufficientCapacity;
  for (const auto& peer : *peers) allocation.permit(now, peer.address);
  return std::nullopt;
}

void Server::Impl::bind_channel(const Request& request, const Caller& caller) {
  if (const auto error = bind_now(request)) return fail(request, caller, *error);
  ++counters_.channels;
  auto builder = success(request);
  finish(request, caller, builder);
}

std::optional<ErrorNumber> Server::Impl::bind_now(const Request& request) {
  const auto number = request.message.find(AttributeType::kChannelNumber);
  const auto peer = request.message.xor_address(AttributeType::kXorPeerAddress);
  if (!number || number->size() != 4 || !peer) return ErrorNumber::kBadRequest;
  const auto channel = load_be<std::uint16_t>(number->data());
  if (channel < kFirstChannel || channel > kLastChannelServed) return ErrorNumber::kBadRequest;
  if (const auto error = check_peer(*request.allocation, *peer)) return error;
  switch (request.allocation->bind(request.now.monotonic, channel, *peer)) {
    case Allocation::Binding::kConflict:
      return ErrorNumber::kBadRequest;
    case Allocation::Binding::kFull:
      return ErrorNumber::kInsufficientCapacity;
    case Allocation::Binding::kDone:
      break;
  }
  return std::nullopt;
}

}  // namespace higgs::turn
