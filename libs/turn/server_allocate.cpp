// The Allocate request (RFC 8656, section 7.2).
#include <algorithm>

#include "turn/server_impl.h"

namespace higgs::turn {

namespace {

using stun::AttributeType;

constexpr std::size_t kFamilyBytes = 4;

/// The first byte of a four-byte attribute: a protocol or a family.
std::optional<std::byte> first_of_four(const stun::Message& message, AttributeType type) noexcept {
  const auto value = message.find(type);
  if (!value || value->size() != kFamilyBytes) return std::nullopt;
  return (*value)[0];
}

}  // namespace

/// The order of the checks is that of section 7.2.
std::optional<ErrorNumber> Server::Impl::read_wanted(const stun::Message& message, Wanted& wanted) const {
  const auto transport = first_of_four(message, AttributeType::kRequestedTransport);
  if (!transport) return ErrorNumber::kBadRequest;
  if (*transport != kUdpProtocol) return ErrorNumber::kUnsupportedTransport;

  const bool family_named = message.has(AttributeType::kRequestedAddressFamily);
  const bool second_named = message.has(AttributeType::kAdditionalAddressFamily);
  const auto even = message.find(AttributeType::kEvenPort);
  if (message.has(AttributeType::kReservationToken)) {
    wanted.token = message.u64(AttributeType::kReservationToken);
    if (!wanted.token || even || family_named || second_named) return ErrorNumber::kBadRequest;
    return std::nullopt;
  }
  if (family_named && second_named) return ErrorNumber::kBadRequest;
  if (even) {
    if (even->size() != 1) return ErrorNumber::kBadRequest;
    wanted.even = true;
    wanted.reserve = ((*even)[0] & std::byte{0x80}) != std::byte{0};
  }
  if (second_named) {
    // Section 7.2: "0x02 (IPv6 address family) … is the only valid value"; and a reservation is of one port.
    const auto family = first_of_four(message, AttributeType::kAdditionalAddressFamily);
    if (family != kIpv6Family || wanted.reserve) return ErrorNumber::kBadRequest;
    wanted.ipv6 = true;
  } else if (family_named) {
    const auto family = first_of_four(message, AttributeType::kRequestedAddressFamily);
    if (!family) return ErrorNumber::kBadRequest;
    if (*family != kIpv4Family && *family != kIpv6Family) return ErrorNumber::kFamilyNotSupported;
    wanted.ipv4 = *family == kIpv4Family;
    wanted.ipv6 = !wanted.ipv4;
  }
  if (!(wanted.ipv4 && options_.ipv4) && !(wanted.ipv6 && options_.ipv6)) return ErrorNumber::kFamilyNotSupported;
  return std::nullopt;
}

std::optional<ErrorNumber> Server::Impl::check_quota(const std::string& user, const Wanted& wanted) const {
  const auto& limits = options_.limits;
  const auto found = users_.find(user);
  // A reservation that is claimed is counted already.
  const std::size_t more = wanted.token ? 0 : wanted.reserve ? 2 : 1;
  if ((found == users_.end() ? 0 : found->second) + more > limits.allocations_per_user)
    return ErrorNumber::kQuotaReached;
  if (allocations_.size() + reservations_.size() + more > limits.allocations) return ErrorNumber::kInsufficientCapacity;
  return std::nullopt;
}

std::optional<ErrorNumber> Server::Impl::open_family(Instant now, Allocation& allocation, bool ipv6,
                                                     const Wanted& wanted) {
  if (!(ipv6 ? options_.ipv6 : options_.ipv4)) return ErrorNumber::kFamilyNotSupported;
  const auto opened = output_.open_relay(allocation.client(), ipv6, wanted.even, wanted.reserve);
  if (!opened) return ErrorNumber::kInsufficientCapacity;
  allocation.relay(ipv6) = Allocation::Relay{opened->id, opened->relayed, now + allocation.granted};
  if (opened->next) {
    const std::uint64_t token = random_.u64();
    reservations_.push_back({token, *opened->next, allocation.user(), now + options_.limits.reservation_lifetime});
    ++users_[allocation.user()];
    allocation.reservation = token;
  }
  return std::nullopt;
}

std::optional<ErrorNumber> Server::Impl::claim(Instant now, Allocation& allocation, std::uint64_t token) {
  const auto found = std::find_if(reservations_.begin(), reservations_.end(), [&](const Reservation& reservation) {
    return reservation.token == token && reservation.user == allocation.user() && reservation.expires > now;
  });
  if (found == reservations_.end()) return ErrorNumber::kInsufficientCapacity;
  const RelayId id = found->relay;
  reservations_.erase(found);
  leave(allocation.user());
  const auto relayed = output_.claim_reserved(id);
  if (!relayed) return ErrorNumber::kInsufficientCapacity;
  allocation.relay(relayed->address.is_v6()) = Allocation::Relay{id, *relayed, now + allocation.granted};
  return std::nullopt;
}

std::optional<ErrorNumber> Server::Impl::open(Instant now, Allocation& allocation, const Wanted& wanted) {
  if (wanted.token) return claim(now, allocation, *wanted.token);
  if (!wanted.ipv4 || !wanted.ipv6) return open_family(now, allocation, wanted.ipv6, wanted);
  // Of two families one is enough; the answer says why the other is missing (section 7.2).
  const auto no_v4 = open_family(now, allocation, false, wanted), no_v6 = open_family(now, allocation, true, wanted);
  if (no_v4 && no_v6) return no_v4;
  if (no_v4) allocation.missing = {false, *no_v4};
  if (no_v6) allocation.missing = {true, *no_v6};
  return std::nullopt;
}

/// Section 7.2: the client's wish up to our maximum, if it is above the default.
std::chrono::seconds Server::Impl::lifetime_of(const stun::Message& message) const {
  const auto& limits = options_.limits;
  const std::chrono::seconds wish(message.u32(AttributeType::kLifetime).value_or(0));
  return std::max(limits.default_lifetime, std::min(wish, limits.max_lifetime));
}

void Server::Impl::allocate(const Request& request, const Caller& caller) {
  if (const Allocation* standing = request.allocation) {
    // Section 7.2: the same request again, because our answer was lost, has the same answer.
    if (standing->allocated_by == request.message.transaction && standing->user() == caller.user)
      return answer_allocate(request, caller, *standing);
    return fail(request, caller, ErrorNumber::kAllocationMismatch);
  }
  Wanted wanted;
  if (const auto error = read_wanted(request.message, wanted)) return fail(request, caller, *error);
  if (const auto error = check_quota(caller.user, wanted)) return fail(request, caller, *error);
  const Instant now = request.now.monotonic;
  auto made = std::make_unique<Allocation>(now, request.from, caller.user, caller.key, options_.limits);
  made->allocated_by = request.message.transaction;
  made->granted = lifetime_of(request.message);
  if (const auto error = open(now, *made, wanted)) return fail(request, caller, *error);

  Allocation& allocation = *(allocations_[request.from] = std::move(made));
  for (const bool ipv6 : {false, true})
    if (const auto& relay = allocation.relay(ipv6)) relays_[relay->id] = &allocation;
  ++users_[caller.user];
  ++counters_.allocations;
  arm(allocation);
  answer_allocate(request, caller, allocation);
}

void Server::Impl::answer_allocate(const Request& request, const Caller& caller, const Allocation& allocation) {
  auto builder = success(request);
  for (const bool ipv6 : {false, true})
    if (const auto& relay = allocation.relay(ipv6))
      builder.add_xor_address(AttributeType::kXorRelayedAddress, relay->relayed);
  builder.add_u32(AttributeType::kLifetime, static_cast<std::uint32_t>(allocation.granted.count()));
  if (allocation.reservation) builder.add_u64(AttributeType::kReservationToken, *allocation.reservation);
  builder.add_xor_mapped_address(request.from.client);
  if (const auto& missing = allocation.missing) {
    // Section 18.12: family, then the error as in ERROR-CODE.
    const auto number = static_cast<unsigned>(missing->error);
    const std::string_view reason = reason_of(missing->error);
    ByteWriter value;
    value.be(std::to_integer<std::uint8_t>(missing->ipv6 ? kIpv6Family : kIpv4Family));
    value.be(std::uint8_t{0});
    value.be(static_cast<std::uint8_t>(number / 100));
    value.be(static_cast<std::uint8_t>(number % 100));
    value.bytes(as_bytes(reason));
    builder.add(AttributeType::kAddressErrorCode, value.view());
  }
  finish(request, caller, builder);
}

}  // namespace higgs::turn
