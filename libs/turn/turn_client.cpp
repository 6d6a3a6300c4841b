#include "turn/turn_client.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <vector>

#include "stun/message.h"
#include "turn/client_transactions.h"
#include "turn/turn_protocol.h"

namespace higgs::turn {

namespace {

using std::chrono::seconds;
using stun::AttributeType;

// RFC 8656, section 9: a permission lasts 300 s; section 12: a channel 600 s. Renewed early enough for every repetition
// of the request to fall before the end.
constexpr seconds kPermissionRenewal{240}, kChannelRenewal{480};

// Of our choosing.
constexpr seconds kMinLifetime{60}, kMaxLifetime{3600};  // what a server may make us believe
constexpr seconds kRefusedAgain{15};                     // a peer that was refused may have been announced since
constexpr unsigned kMaxAllocationsLost = 8;              // in a row, before the server is given up
// RFC 8656, section 19.
constexpr unsigned kAllocationMismatch = 437;

}  // namespace

class Client::Impl {
 public:
  Impl(Instant now, ClientOptions options, RandomSource& random)
      : options_(std::move(options)), transactions_(options_.username, options_.password, random) {
    allocate(now);
  }

  bool add_peer(Instant now, const Endpoint& peer);
  void drop_peer(const Endpoint& peer);
  bool ready(const Endpoint& peer) const noexcept;
  std::uint16_t channel(const Endpoint& peer) const noexcept;
  ByteView wrap(const Endpoint& peer, ByteView packet, RandomSource& random, MutableBytes buffer) const noexcept;
  std::optional<PeerData> handle_packet(Instant now, MutableBytes datagram);
  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const;
  std::optional<Bytes> poll_transmit() { return transactions_.poll_transmit(); }
  void verify(Instant now);
  void close();

  ClientState state = ClientState::kAllocating;
  unsigned error = 0;
  std::optional<Endpoint> relayed, mapped;

 private:
  /// By address: the port does not count (RFC 8656, section 9).
  struct Permission {
    bool stands = false, asked = false;
    Instant due;  ///< to be asked for (again)
  };
  struct Peer {
    Endpoint endpoint;
    std::uint16_t channel = 0;  ///< 0: numbers ran out
    bool bound = false, asked = false;
    Instant due;
  };

  void allocate(Instant now);
  /// The server knows of no allocation of ours.
  void allocate_again(Instant now);
  void start_due(Instant now);
  void finish(Instant now, const ClientOutcome& outcome, const stun::Message& message);
  void finish_allocate(Instant now, unsigned error, const stun::Message& message);
  void finish_refresh(Instant now, unsigned error, const stun::Message& message);
  void finish_permission(Instant now, const IpAddress& address, unsigned error);
  void finish_channel(Instant now, const ClientRequest& request, unsigned error);
  void take_lifetime(Instant now, const stun::Message& message);
  void fail(unsigned code);
  void assign_channel(Peer& peer) noexcept;
  const Peer* find(const Endpoint& peer) const noexcept;
  std::optional<PeerData> data_of_channel(MutableBytes datagram) const;
  std::optional<PeerData> data_of_indication(MutableBytes datagram, const stun::Message& message) const;

  ClientOptions options_;
  ClientTransactions transactions_;
  std::optional<Instant> refresh_due_;
  bool refreshing_ = false;
  bool deleted_other_ = false;  ///< one that stood in the way
  unsigned lost_ = 0;
  std::map<IpAddress, Permission> permissions_;
  std::vector<Peer> peers_;
  std::uint16_t next_channel_ = kFirstChannel;
};

// --- the allocation -----------------------------------------------------------------------------------------------

void Client::Impl::allocate(Instant now) {
  state = ClientState::kAllocating;
  relayed.reset();
  refresh_due_.reset();
  refreshing_ = false;
  transactions_.clear();
  next_channel_ = kFirstChannel;
  for (auto& [address, permission] : permissions_) permission = {false, false, now};
  for (auto& peer : peers_) {
    peer.bound = peer.asked = false;
    peer.due = now;
    assign_channel(peer);
  }
  transactions_.start(now, {.kind = ClientRequest::Kind::kAllocate, .ipv6 = options_.ipv6});
}

void Client::Impl::finish_allocate(Instant now, unsigned code, const stun::Message& message) {
  if (code == kAllocationMismatch && !deleted_other_) {
    // An allocation of an earlier run on the same port. RFC 8656, section 7.4, would have another port taken; it is
    // ours if the password fits, so it is deleted.
    deleted_other_ = true;
    transactions_.start(now, {.kind = ClientRequest::Kind::kDelete});
    return;
  }
  const auto address = message.xor_address(AttributeType::kXorRelayedAddress);
  if (code != 0 || !address) return fail(code);
  relayed = address;
  mapped = message.xor_address(AttributeType::kXorMappedAddress);
  state = ClientState::kAllocated;
  deleted_other_ = false;
  take_lifetime(now, message);
}

void Client::Impl::finish_refresh(Instant now, unsigned code, const stun::Message& message) {
  refreshing_ = false;
  if (code == kAllocationMismatch) return allocate_again(now);
  if (code != 0) return fail(code);
  lost_ = 0;
  take_lifetime(now, message);
}

void Client::Impl::allocate_again(Instant now) {
  if (++lost_ > kMaxAllocationsLost) return fail(kAllocationMismatch);
  allocate(now);
}

void Client::Impl::take_lifetime(Instant now, const stun::Message& message) {
  const seconds told(message.u32(AttributeType::kLifetime).value_or(0));
  refresh_due_ = now + std::clamp(told, kMinLifetime, kMaxLifetime) / 2;
}

void Client::Impl::fail(unsigned code) {
  state = ClientState::kFailed;
  error = code;
  relayed.reset();
  refresh_due_.reset();
  transactions_.clear();
}

void Client::Impl::verify(Instant now) {
  if (state != ClientState::kAllocated || refreshing_) return;
  refresh_due_ = now;
  start_due(now);
}

void Client::Impl::close() {
  const bool stands = state == ClientState::kAllocated || state == ClientState::kAllocating;
  state = ClientState::kClosed;
  relayed.reset();
  transactions_.clear();
  if (stands && transactions_.authenticated()) transactions_.send_once({.kind = ClientRequest::Kind::kDelete});
}

// --- peers --------------------------------------------------------------------------------------------------------

void Client::Impl::assign_channel(Peer& peer) noexcept {
  peer.channel = next_channel_ <= kLastChannel ? next_channel_++ : 0;
}

const Client::Impl::Peer* Client::Impl::find(const Endpoint& peer) const noexcept {
  const auto found = std::ranges::find(peers_, peer, &Peer::endpoint);
  return found == peers_.end() ? nullptr : &*found;
}

bool Client::Impl::add_peer(Instant now, const Endpoint& peer) {
  if (find(peer) != nullptr) return true;
  if (peers_.size() >= options_.max_peers) return false;
  permissions_.try_emplace(peer.address, Permission{.due = now});
  auto& added = peers_.emplace_back(Peer{.endpoint = peer, .due = now});
  assign_channel(added);
  start_due(now);
  return true;
}

void Client::Impl::drop_peer(const Endpoint& peer) {
  std::erase_if(peers_, [&](const Peer& other) { return other.endpoint == peer; });
  const auto same = [&](const Peer& other) { return other.endpoint.address == peer.address; };
  if (std::ranges::none_of(peers_, same)) permissions_.erase(peer.address);
}

bool Client::Impl::ready(const Endpoint& peer) const noexcept {
  if (state != ClientState::kAllocated) return false;
  const auto permission = permissions_.find(peer.address);
  return permission != permissions_.end() && permission->second.stands;
}

std::uint16_t Client::Impl::channel(const Endpoint& peer) const noexcept {
  const Peer* found = ready(peer) ? find(peer) : nullptr;
  return found != nullptr && found->bound ? found->channel : 0;
}

ByteView Client::Impl::wrap(const Endpoint& peer, ByteView packet, RandomSource& random,
                            MutableBytes buffer) const noexcept {
  if (!ready(peer) || buffer.size() < stun::kHeaderBytes || packet.size() > 0xFFFF) return {};
  if (const auto number = channel(peer); number != 0) {
    if (packet.size() + kChannelHeaderBytes > buffer.size()) return {};
    store_be(buffer.data(), number);
    store_be(buffer.data() + 2, static_cast<std::uint16_t>(packet.size()));
    std::ranges::copy(packet, buffer.begin() + kChannelHeaderBytes);
    return buffer.first(packet.size() + kChannelHeaderBytes);
  }
  // RFC 8656, section 11.1.
  stun::MessageBuilder builder(buffer, stun::MessageClass::kIndication, stun::kSendMethod, random.array<12>());
  return builder.add_xor_address(AttributeType::kXorPeerAddress, peer).add(AttributeType::kData, packet).finish();
}

void Client::Impl::finish_permission(Instant now, const IpAddress& address, unsigned code) {
  const auto found = permissions_.find(address);
  if (found == permissions_.end()) return;
  found->second = {code == 0, false, now + (code == 0 ? kPermissionRenewal : kRefusedAgain)};
}

void Client::Impl::finish_channel(Instant now, const ClientRequest& request, unsigned code) {
  const auto found = std::ranges::find(peers_, request.peer, &Peer::endpoint);
  if (found == peers_.end() || found->channel != request.channel) return;
  found->asked = false;
  found->bound = code == 0;
  found->due = now + (code == 0 ? kChannelRenewal : kRefusedAgain);
}

// --- requests and time --------------------------------------------------------------------------------------------

void Client::Impl::start_due(Instant now) {
  if (state != ClientState::kAllocated) return;
  const auto room = [this] { return transactions_.in_flight() < ClientTransactions::kMaxInFlight; };
  if (!refreshing_ && refresh_due_ && *refresh_due_ <= now && room()) {
    refreshing_ = true;
    transactions_.start(now, {.kind = ClientRequest::Kind::kRefresh});
  }
  for (auto& [address, permission] : permissions_) {
    if (permission.asked || permission.due > now || !room()) continue;
    permission.asked = true;
    transactions_.start(now, {.kind = ClientRequest::Kind::kPermission, .peer = {address, 1}});
  }
  for (auto& peer : peers_) {
    if (peer.channel == 0 || peer.asked || peer.due > now || !room() || !ready(peer.endpoint)) continue;
    peer.asked = true;
    transactions_.start(now, {.kind = ClientRequest::Kind::kChannel, .peer = peer.endpoint, .channel = peer.channel});
  }
}

void Client::Impl::finish(Instant now, const ClientOutcome& outcome, const stun::Message& message) {
  switch (outcome.request.kind) {
    case ClientRequest::Kind::kAllocate:
      return finish_allocate(now, outcome.error, message);
    case ClientRequest::Kind::kDelete:
      return allocate(now);
    case ClientRequest::Kind::kRefresh:
      return finish_refresh(now, outcome.error, message);
    case ClientRequest::Kind::kPermission:
    case ClientRequest::Kind::kChannel:
      // The allocation is gone, whatever was asked of it.
      if (outcome.error == kAllocationMismatch) return allocate_again(now);
      if (outcome.request.kind == ClientRequest::Kind::kPermission)
        return finish_permission(now, outcome.request.peer.address, outcome.error);
      return finish_channel(now, outcome.request, outcome.error);
  }
}

void Client::Impl::handle_timeout(Instant now) {
  if (state != ClientState::kAllocating && state != ClientState::kAllocated) return;
  if (!transactions_.handle_timeout(now)) return fail(0);
  start_due(now);
}

std::optional<Instant> Client::Impl::poll_timeout() const {
  if (state != ClientState::kAllocating && state != ClientState::kAllocated) return std::nullopt;
  auto next = transactions_.poll_timeout();
  const auto take = [&next](Instant at) {
    if (!next || at < *next) next = at;
  };
  // With no room a finished request starts the next.
  if (state != ClientState::kAllocated || transactions_.in_flight() >= ClientTransactions::kMaxInFlight) return next;
  if (!refreshing_ && refresh_due_) take(*refresh_due_);
  for (const auto& [address, permission] : permissions_)
    if (!permission.asked) take(permission.due);
  for (const auto& peer : peers_)
    if (peer.channel != 0 && !peer.asked && ready(peer.endpoint)) take(peer.due);
  return next;
}

// --- what arrives -------------------------------------------------------------------------------------------------

std::optional<PeerData> Client::Impl::data_of_channel(MutableBytes datagram) const {
  const auto channel_data = read_channel_data(datagram);
  if (!channel_data) return std::nullopt;
  const auto peer = std::ranges::find(peers_, channel_data->channel, &Peer::channel);
  // Number 0 is of peers that got none, and read_channel_data never yields it.
  if (peer == peers_.end() || !peer->bound || !ready(peer->endpoint)) return std::nullopt;
  return PeerData{peer->endpoint, datagram.subspan(kChannelHeaderBytes, channel_data->data.size())};
}

std::optional<PeerData> Client::Impl::data_of_indication(MutableBytes datagram, const stun::Message& message) const {
  // RFC 8656, section 11.4.
  if (message.method != stun::kDataMethod) return std::nullopt;
  const auto peer = message.xor_address(AttributeType::kXorPeerAddress);
  const auto data = message.find(AttributeType::kData);
  if (!peer || !data || !ready(*peer)) return std::nullopt;
  return PeerData{*peer, datagram.subspan(static_cast<std::size_t>(data->data() - datagram.data()), data->size())};
}

std::optional<PeerData> Client::Impl::handle_packet(Instant now, MutableBytes datagram) {
  if (state != ClientState::kAllocating && state != ClientState::kAllocated) return std::nullopt;
  if (!stun::looks_like_stun(datagram)) return data_of_channel(datagram);
  const auto message = stun::parse(datagram);
  if (!message) return std::nullopt;
  if (message->message_class == stun::MessageClass::kIndication) return data_of_indication(datagram, *message);
  if (message->message_class == stun::MessageClass::kRequest) return std::nullopt;
  if (const auto outcome = transactions_.handle_response(now, datagram, *message)) {
    finish(now, *outcome, *message);
    start_due(now);
  }
  return std::nullopt;
}

// --- Client -------------------------------------------------------------------------------------------------------

Client::Client(Instant now, ClientOptions options, RandomSource& random)
    : impl_(std::make_unique<Impl>(now, std::move(options), random)) {}
Client::~Client() = default;

ClientState Client::state() const noexcept { return impl_->state; }
unsigned Client::error() const noexcept { return impl_->error; }
std::optional<Endpoint> Client::relayed() const noexcept { return impl_->relayed; }
std::optional<Endpoint> Client::mapped() const noexcept { return impl_->mapped; }
bool Client::add_peer(Instant now, const Endpoint& peer) { return impl_->add_peer(now, peer); }
void Client::drop_peer(const Endpoint& peer) { impl_->drop_peer(peer); }
bool Client::ready(const Endpoint& peer) const noexcept { return impl_->ready(peer); }
std::uint16_t Client::channel(const Endpoint& peer) const noexcept { return impl_->channel(peer); }
ByteView Client::wrap(const Endpoint& peer, ByteView packet, RandomSource& random, MutableBytes buffer) const noexcept {
  return impl_->wrap(peer, packet, random, buffer);
}
std::optional<PeerData> Client::handle_packet(Instant now, MutableBytes datagram) {
  return impl_->handle_packet(now, datagram);
}
void Client::handle_timeout(Instant now) { impl_->handle_timeout(now); }
std::optional<Instant> Client::poll_timeout() const { return impl_->poll_timeout(); }
std::optional<Bytes> Client::poll_transmit() { return impl_->poll_transmit(); }
void Client::verify(Instant now) { impl_->verify(now); }
void Client::close(Instant) { impl_->close(); }

}  // namespace higgs::turn
