#include "turn/turn_server.h"

#include <algorithm>

#include "turn/server_impl.h"

namespace higgs::turn {

std::size_t Server::Impl::TupleHash::operator()(const FiveTuple& tuple) const noexcept {
  const std::hash<Endpoint> hash;
  return (hash(tuple.client) * 31 + hash(tuple.server)) * 31 + static_cast<std::size_t>(tuple.transport);
}

Server::Impl::Impl(Options options, Authority& authority, ServerOutput& output, RandomSource& random)
    : options_(std::move(options)),
      authority_(authority),
      output_(output),
      random_(random),
      nonces_(options_.limits.nonce_lifetime, random) {
  random_.fill(next_indication_);
}

Allocation* Server::Impl::find(const FiveTuple& tuple) {
  const auto found = allocations_.find(tuple);
  return found == allocations_.end() ? nullptr : found->second.get();
}

bool Server::Impl::on_client(Now now, const FiveTuple& from, ByteView bytes) {
  // RFC 8656, section 12.6: ChannelData is told from STUN by its first two bits.
  if (!bytes.empty() && (bytes[0] & std::byte{0xC0}) == std::byte{0x40}) {
    on_channel_data(now.monotonic, from, bytes);
    return true;
  }
  const auto message = stun::parse(bytes);
  if (!message) return false;
  switch (message->message_class) {
    case stun::MessageClass::kRequest:
      switch (message->method) {
        case stun::kAllocateMethod:
        case stun::kRefreshMethod:
        case stun::kCreatePermissionMethod:
        case stun::kChannelBindMethod:
          handle_request({now, from, bytes, *message, find(from)});
          return true;
        default:
          return false;
      }
    case stun::MessageClass::kIndication:
      if (message->method != stun::kSendMethod) return false;
      on_send(now.monotonic, from, *message);
      return true;
    case stun::MessageClass::kSuccess:
    case stun::MessageClass::kError:
      break;
  }
  return false;
}

void Server::Impl::handle_request(const Request& request) {
  const auto caller = authenticate(request);
  if (!caller || refuse_unknown(request, *caller)) return;
  if (request.message.method == stun::kAllocateMethod) {
    allocate(request, *caller);
  } else if (request.allocation == nullptr) {
    fail(request, *caller, ErrorNumber::kAllocationMismatch);
  } else if (request.allocation->user() != caller->user) {
    fail(request, *caller, ErrorNumber::kWrongCredentials);
  } else if (request.message.method == stun::kRefreshMethod) {
    refresh(request, *caller);
  } else if (request.message.method == stun::kCreatePermissionMethod) {
    create_permission(request, *caller);
  } else {
    bind_channel(request, *caller);
  }
}

// --- what stands -------------------------------------------------------------------------------------------------

/// To be called after each change of an allocation's lifetime.
void Server::Impl::arm(Allocation& allocation) {
  if (allocation.armed) expiries_.erase({*allocation.armed, &allocation});
  allocation.armed = allocation.next_expiry();
  if (allocation.armed) expiries_.insert({*allocation.armed, &allocation});
}

void Server::Impl::close_relay(Allocation& allocation, bool ipv6) {
  auto& relay = allocation.relay(ipv6);
  if (!relay) return;
  relays_.erase(relay->id);
  output_.close_relay(relay->id);
  relay.reset();
}

void Server::Impl::remove(Allocation& allocation) {
  close_relay(allocation, false);
  close_relay(allocation, true);
  arm(allocation);
  leave(allocation.user());
  const FiveTuple client = allocation.client();
  allocations_.erase(client);
}

void Server::Impl::leave(const std::string& user) {
  const auto found = users_.find(user);
  if (found != users_.end() && --found->second == 0) users_.erase(found);
}

void Server::Impl::drop_reservation(const Reservation& reservation) {
  output_.close_relay(reservation.relay);
  leave(reservation.user);
}

void Server::Impl::on_client_gone(const FiveTuple& client) {
  if (Allocation* allocation = find(client)) {
    ++counters_.deleted;
    remove(*allocation);
  }
}

void Server::Impl::revoke(std::string_view username) {
  const std::string user(username);
  if (!users_.contains(user)) return;
  std::vector<Allocation*> theirs;
  for (const auto& [tuple, allocation] : allocations_)
    if (allocation->user() == user) theirs.push_back(allocation.get());
  for (Allocation* allocation : theirs) remove(*allocation);
  counters_.revoked += theirs.size();
  std::erase_if(reservations_, [&](const Reservation& reservation) {
    if (reservation.user != user) return false;
    drop_reservation(reservation);
    return true;
  });
}

// --- time --------------------------------------------------------------------------------------------------------

void Server::Impl::handle_timeout(Instant now) {
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    Allocation& allocation = *expiries_.begin()->second;
    for (const bool ipv6 : {false, true})
      if (allocation.relay(ipv6) && allocation.relay(ipv6)->expires <= now) close_relay(allocation, ipv6);
    if (allocation.empty()) {
      ++counters_.expired;
      remove(allocation);
    } else {
      arm(allocation);
    }
  }
  while (!reservations_.empty() && reservations_.front().expires <= now) {
    drop_reservation(reservations_.front());
    reservations_.pop_front();
  }
}

std::optional<Instant> Server::Impl::poll_timeout() const {
  std::optional<Instant> next;
  if (!expiries_.empty()) next = expiries_.begin()->first;
  if (!reservations_.empty() && (!next || reservations_.front().expires < *next)) next = reservations_.front().expires;
  return next;
}

// --- the public face ---------------------------------------------------------------------------------------------

Server::Server(Options options, Authority& authority, ServerOutput& output, RandomSource& random)
    : impl_(std::make_unique<Impl>(std::move(options), authority, output, random)) {}
Server::~Server() = default;

bool Server::on_client(Now now, const FiveTuple& from, ByteView message) {
  return impl_->on_client(now, from, message);
}
void Server::on_peer(Now now, RelayId relay, const Endpoint& peer, ByteView payload) {
  impl_->on_peer(now.monotonic, relay, peer, payload);
}
void Server::on_client_gone(const FiveTuple& client) { impl_->on_client_gone(client); }
void Server::revoke(std::string_view username) { impl_->revoke(username); }
void Server::handle_timeout(Now now) { impl_->handle_timeout(now.monotonic); }
std::optional<Instant> Server::poll_timeout() const { return impl_->poll_timeout(); }
std::size_t Server::allocations() const noexcept { return impl_->allocations(); }
bool Server::stands(const FiveTuple& client) const noexcept { return impl_->stands(client); }
const ServerCounters& Server::counters() const noexcept { return impl_->counters(); }

}  // namespace higgs::turn
