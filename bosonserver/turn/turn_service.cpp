#include "bosonserver/turn/turn_service.h"

#include <algorithm>
#include <utility>

#include "stun/binding.h"

namespace higgs::boson {

namespace {

const IpAddress* of_family(const std::vector<IpAddress>& addresses, bool ipv6) {
  const auto found =
      std::find_if(addresses.begin(), addresses.end(), [&](const IpAddress& a) { return a.is_v6() == ipv6; });
  return found == addresses.end() ? nullptr : &*found;
}

}  // namespace

Result<std::unique_ptr<TurnService>> TurnService::make(TurnOptions options, turn::Authority& authority,
                                                       RandomSource& random) {
  std::unique_ptr<StreamServer> tcp, tls;
  if (options.tcp) {
    auto listening = StreamServer::listen(*options.tcp, std::nullopt, options.streams);
    if (!listening) return listening.error();
    tcp = std::move(*listening);
  }
  if (options.tls) {
    auto listening = StreamServer::listen(*options.tls, options.context, options.streams);
    if (!listening) return listening.error();
    tls = std::move(*listening);
  }
  std::unique_ptr<TurnService> service(new TurnService(std::move(options), authority, random));
  service->tcp_ = std::move(tcp);
  service->tls_ = std::move(tls);
  return service;
}

TurnService::TurnService(TurnOptions options, turn::Authority& authority, RandomSource& random)
    : options_(std::move(options)),
      server_(options_.server, authority, *this, random),
      random_(random),
      unproven_(options_.unproven) {}

TurnService::~TurnService() = default;

std::optional<Endpoint> TurnService::tcp() const { return tcp_ ? std::optional(tcp_->local()) : std::nullopt; }
std::optional<Endpoint> TurnService::tls() const { return tls_ ? std::optional(tls_->local()) : std::nullopt; }

void TurnService::use(const net::TlsContext& context) {
  const std::lock_guard lock(mutex_);
  if (loop_ != nullptr && tls_) loop_->post([this, context] { tls_->use(context); });
}

void TurnService::revoke(const std::string& username) {
  const std::lock_guard lock(mutex_);
  if (loop_ != nullptr) loop_->post([this, username] { server_.revoke(username); });
}

TurnStats TurnService::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// --- on the STUN server's thread ---------------------------------------------------------------------------------

void TurnService::attach(net::EventLoop& loop, DatagramSender& sender) {
  {
    const std::lock_guard lock(mutex_);
    loop_ = &loop;
  }
  sender_ = &sender;
  RelayPorts::Owner& owner = *this;
  ports_.emplace(options_.ports, loop, random_, owner);
  StreamServer::Owner& stream_owner = *this;
  if (tcp_) tcp_->attach(loop, stream_owner);
  if (tls_) tls_->attach(loop, stream_owner);
  end_of_turn_ = loop.add_end_of_turn([this] { end_of_turn(); });
}

void TurnService::detach() noexcept {
  const std::lock_guard lock(mutex_);
  if (loop_ == nullptr) return;
  loop_->remove_end_of_turn(end_of_turn_);
  if (tcp_) tcp_->detach();
  if (tls_) tls_->detach();
  ports_.reset();
  loop_ = nullptr;
}

bool TurnService::on_datagram(const Endpoint& client, const Endpoint& local, MutableBytes datagram) {
  return server_.on_client(loop_->now(), {turn::Transport::kUdp, client, local}, datagram);
}

bool TurnService::on_stream_message(const turn::FiveTuple& client, ByteView message) {
  return server_.on_client(loop_->now(), client, message) || answer_binding(client, message);
}

/// RFC 8489, section 6.2.2: a Binding request may come over a stream as well.
bool TurnService::answer_binding(const turn::FiveTuple& client, ByteView message) {
  ByteArray<stun::kBindingBufferBytes> buffer;
  const auto answer =
      stun::answer_binding(message, client.client, {options_.server.software, client.server, std::nullopt}, buffer);
  if (answer.outcome == stun::BindingOutcome::kMalformed) return false;
  if (!answer.bytes.empty()) send_to_client(client, answer.bytes);
  return true;
}

void TurnService::on_stream_gone(const turn::FiveTuple& client) { server_.on_client_gone(client); }
bool TurnService::stands(const turn::FiveTuple& client) const { return server_.stands(client); }

void TurnService::on_peer_packet(turn::RelayId relay, const Endpoint& peer, ByteView payload) {
  server_.on_peer(loop_->now(), relay, peer, payload);
}

void TurnService::end_of_turn() {
  arm_timer();
  TurnStats stats;
  stats.allocations = server_.allocations();
  stats.server = server_.counters();
  stats.ports = ports_->counters();
  for (const auto* streams : {tcp_.get(), tls_.get()}) {
    if (streams == nullptr) continue;
    const auto& part = streams->counters();
    stats.connections += streams->connections();
    stats.streams.accepted += part.accepted;
    stats.streams.refused += part.refused;
    stats.streams.timeouts += part.timeouts;
    stats.streams.malformed += part.malformed;
    stats.streams.dropped_full += part.dropped_full;
  }
  const std::lock_guard lock(mutex_);
  stats_ = stats;
}

void TurnService::arm_timer() {
  const auto next = server_.poll_timeout();
  if (next == timer_at_) return;
  if (timer_at_) loop_->cancel(timer_);
  timer_at_ = next;
  if (!next) return;
  timer_ = loop_->at(*next, [this] {
    timer_at_.reset();
    server_.handle_timeout(loop_->now());
  });
}

// --- what the state machine wants --------------------------------------------------------------------------------

std::optional<turn::ServerOutput::Opened> TurnService::open_relay(const turn::FiveTuple& client, bool ipv6, bool even,
                                                                  bool reserve) {
  const IpAddress* bind = of_family(options_.relay_addresses, ipv6);
  if (bind == nullptr && client.server.address.is_v6() == ipv6) bind = &client.server.address;
  if (bind == nullptr || bind->is_unspecified()) return std::nullopt;
  const IpAddress* announced = of_family(options_.external_addresses, ipv6);
  return ports_->open(*bind, announced != nullptr ? *announced : *bind, even, reserve);
}

std::optional<Endpoint> TurnService::claim_reserved(turn::RelayId id) { return ports_->claim(id); }
void TurnService::close_relay(turn::RelayId id) { ports_->close(id); }

StreamServer* TurnService::stream_of(const turn::FiveTuple& client) {
  return client.transport == turn::Transport::kTls ? tls_.get() : tcp_.get();
}

void TurnService::send_to_client(const turn::FiveTuple& client, ByteView bytes) {
  if (client.transport == turn::Transport::kUdp) {
    sender_->send(client.server, client.client, bytes);
  } else if (StreamServer* stream = stream_of(client)) {
    stream->send(client, bytes);
  }
}

void TurnService::send_to_peer(turn::RelayId id, const Endpoint& peer, ByteView bytes, bool dont_fragment) {
  ports_->send(id, peer, bytes, dont_fragment);
}

bool TurnService::may_answer_unproven(const turn::FiveTuple& client) {
  return unproven_.allow(loop_->now().monotonic, client.client.address);
}

}  // namespace higgs::boson
