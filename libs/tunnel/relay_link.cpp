#include "tunnel/relay_link.h"

#include <algorithm>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace higgs::tunnel {

namespace {

// Of proto/relay.md, "Close codes", and RFC 6455 7.4.1.
constexpr std::uint16_t kMalformed = 1008, kAbnormal = 1006;
constexpr std::chrono::milliseconds kMeasureInterval{100};

net::WebSocketLimits limits() {
  net::WebSocketLimits result;
  result.message_bytes = relay::kMaxMessageBytes;
  result.text_bytes = relay::kMaxTextBytes;
  result.unsent_bytes = relay::kMaxQuantumBytes;
  return result;
}

void tune(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // Where the kernel has it: it does not fill the path's buffers. Otherwise the default stays.
  constexpr std::string_view kBbr = "bbr";
  ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kBbr.data(), kBbr.size());
}

}  // namespace

RelayLink::RelayLink(LinkId id, net::UpgradedSocket socket, net::EventLoop& loop, RelayLinkOwner& owner)
    : id_(id),
      loop_(loop),
      owner_(owner),
      buffer_(relay::kMaxMessageBytes),
      building_(buffer_),
      queue_({}, context_),
      liveness_(loop.now().monotonic),
      // Before the connection's own, which sends what this one hands over.
      end_of_turn_(loop.add_end_of_turn([this] { ship(); })),
      connection_(net::WebSocketConnection::Role::kClient, std::move(socket), limits()) {
  tune(connection_.fd());
  measure();
  connection_.start(loop_, *this);
  last_received_ = std::max(loop_.now().monotonic, connection_.stats().last_received);
  arm_liveness();
}

RelayLink::~RelayLink() {
  if (liveness_timer_) loop_.cancel(*liveness_timer_);
  loop_.remove_end_of_turn(end_of_turn_);
}

void RelayLink::send(relay::Channel channel, std::span<const ByteView> packets) {
  if (ended_) {
    refused_ += packets.size();
    return;
  }
  for (const ByteView packet : packets) {
    if (!building_.empty() && (channel != building_channel_ || !building_.fits(packet.size()))) ship();
    building_channel_ = channel;
    if (!building_.append(packet)) ++refused_;
  }
}

void RelayLink::ship() {
  if (building_.empty()) return;
  const std::size_t packets = building_.count();
  const ByteView message = building_.finish(building_channel_);
  if (!ended_ && queue_.empty() && connection_.can_send() && message.size() <= quantum()) {
    if (connection_.send_binary({&message, 1})) {
      status_.sent_packets += packets;
      status_.sent_bytes += message.size();
      note_sent();
    } else {
      refused_ += packets;
    }
  } else if (!ended_) {
    queue_.push(loop_.now().monotonic, building_channel_, message);
    drain();
  } else {
    refused_ += packets;
  }
  building_.clear();
  arm_liveness();
}

void RelayLink::drain() {
  while (!ended_ && !queue_.empty() && connection_.can_send()) {
    const auto out = queue_.pop(loop_.now().monotonic, quantum());
    if (!out || !connection_.send_binary(out.parts)) return;
    status_.sent_packets += out.packets;
    status_.sent_bytes += out.bytes;
    note_sent();
  }
}

/// A millisecond's worth of the connection's rate (docs/architecture.md, "Relay"): what waits is to wait in the queue.
std::size_t RelayLink::quantum() {
  const Instant now = loop_.now().monotonic;
  if (now - measured_ >= kMeasureInterval) {
    measured_ = now;
    measure();
  }
  return quantum_;
}

void RelayLink::measure() {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(connection_.fd(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_rtt == 0) return;
  const std::uint64_t window = std::uint64_t{info.tcpi_snd_cwnd} * info.tcpi_snd_mss;
  const std::size_t quantum = relay::quantum_for_rate(window * 1'000'000 / info.tcpi_rtt);
  // Each change is a system call, and the estimate trembles.
  if (quantum < quantum_ + quantum_ / 4 && quantum_ < quantum + quantum / 4) return;
  quantum_ = quantum;
  connection_.set_notsent_low_water(quantum_);
}

bool RelayLink::send_text(std::string_view text) {
  ship();  // control does not overtake what was sent before it, unless that waits in the queue
  return !ended_ && connection_.send_text(text);
}

void RelayLink::close(std::uint16_t code, std::string_view reason) {
  if (ended_) return;
  ship();
  connection_.close(code, reason);
}

void RelayLink::on_binary(MutableBytes message) {
  if (ended_) return;
  note_received();
  relay::Batch batch;
  const auto parsed = relay::parse_batch(message, batch);
  if (!parsed) {
    ++status_.malformed;
    connection_.close(kMalformed, "malformed batch");
    return;
  }
  status_.received_packets += batch.count;
  status_.received_bytes += message.size();
  owner_.on_link_packets(id_, batch.channel, batch.all());
}

void RelayLink::on_text(std::string_view message) {
  if (ended_) return;
  note_received();
  owner_.on_link_text(id_, message);
}

void RelayLink::on_pong(ByteView payload) {
  const Instant now = loop_.now().monotonic;
  note_received();
  arm_liveness();
  if (payload.size() != sizeof(std::uint64_t)) return;
  const Instant sent{std::chrono::nanoseconds(load_be<std::uint64_t>(payload.data()))};
  if (sent <= now) status_.round_trip = std::chrono::duration_cast<std::chrono::microseconds>(now - sent);
}

void RelayLink::on_writable() {
  drain();
  arm_liveness();
}

void RelayLink::on_closed(std::uint16_t code, std::string_view reason) { end(code, reason); }

void RelayLink::end(std::uint16_t code, std::string_view reason) {
  if (std::exchange(ended_, true)) return;
  if (liveness_timer_) loop_.cancel(*std::exchange(liveness_timer_, std::nullopt));
  owner_.on_link_ended(id_, code, reason);
}

/// Takes from the connection when it last received anything, which includes the other end's pings.
void RelayLink::note_received() {
  const Instant received = connection_.stats().last_received;
  if (received <= last_received_) return;
  last_received_ = received;
  liveness_.on_received(received);
}

void RelayLink::note_sent() {
  note_received();  // what came before must not count as an answer
  liveness_.on_sent(loop_.now().monotonic);
}

/// Data only moves the deadline; the timer, once set, looks at it when it fires. It is set anew only for an earlier
/// one.
void RelayLink::arm_liveness() {
  if (ended_) return;
  if (liveness_timer_) {
    if (liveness_.deadline() >= armed_for_) return;
    loop_.cancel(*liveness_timer_);
  }
  armed_for_ = liveness_.deadline();
  liveness_timer_ = loop_.at(armed_for_, [this] { check_liveness(); });
}

void RelayLink::check_liveness() {
  liveness_timer_.reset();
  const Instant now = loop_.now().monotonic;
  note_received();
  switch (liveness_.handle_timeout(now)) {
    case relay::Liveness::Action::kNone:
      break;
    case relay::Liveness::Action::kPing: {
      ByteArray<sizeof(std::uint64_t)> stamp;
      store_be(stamp.data(), static_cast<std::uint64_t>(now.time_since_epoch().count()));
      connection_.send_ping(stamp);
      if (liveness_.in_doubt()) owner_.on_link_doubtful(id_);
      break;
    }
    case relay::Liveness::Action::kDead:
      connection_.abort();
      end(kAbnormal, "no answer");
      return;
  }
  arm_liveness();
}

LinkStatus RelayLink::status() const {
  LinkStatus result = status_;
  result.dropped_packets = context_.drops.total() + refused_;
  return result;
}

}  // namespace higgs::tunnel
