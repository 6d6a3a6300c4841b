#include "bosonserver/relay/relay_link.h"

#include <algorithm>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "relay/fair_queue.h"

namespace higgs::boson {

namespace {
constexpr std::chrono::milliseconds kMeasureInterval{100};
/// What is read from one link in a turn (256 KiB) fits, so that nothing has to be queued only to be sent at its end.
constexpr std::size_t kFastUnsentBytes = 320 * 1024;

/// A session-open or its answer takes some 300 bytes, and all sessions of a link may be opened at once.
constexpr std::size_t kServersHardUnsentBytes = 16 * 1024 * 1024;

net::WebSocketLimits limits(RelayLink::Use use) {
  net::WebSocketLimits limits;
  limits.message_bytes = relay::kMaxMessageBytes;
  limits.text_bytes = relay::kMaxTextBytes;
  limits.unsent_bytes = kFastUnsentBytes;
  if (use == RelayLink::Use::kServers) limits.unsent_hard_bytes = kServersHardUnsentBytes;
  return limits;
}
}  // namespace

RelayLink::RelayLink(relay::LinkKey key, net::WebSocketConnection::Role role, Use use, net::UpgradedSocket socket,
                     RelayLinkOwner& owner)
    : key_(key),
      owner_(owner),
      connection_(role, std::move(socket), limits(use)),
      quantum_(relay::kMaxQuantumBytes),
      unsent_limit_(kFastUnsentBytes) {}

void RelayLink::start(net::EventLoop& loop) {
  // Where the kernel has it: BBR does not fill the buffers of the path. Otherwise the default stays.
  constexpr std::string_view kBbr = "bbr";
  ::setsockopt(connection_.fd(), IPPROTO_TCP, TCP_CONGESTION, kBbr.data(), kBbr.size());
  connection_.start(loop, *this);
}

void RelayLink::measure() {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(connection_.fd(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_rtt == 0) return;
  const std::uint64_t window = std::uint64_t{info.tcpi_snd_cwnd} * info.tcpi_snd_mss;
  const std::size_t quantum = relay::quantum_for_rate(window * 1'000'000 / info.tcpi_rtt);
  // Each change is a system call, and the estimate trembles.
  if (quantum >= quantum_ + quantum_ / 4 || quantum_ >= quantum + quantum / 4) {
    quantum_ = quantum;
    connection_.set_notsent_low_water(quantum_);
  }
  limit_unsent();
}

/// The queue is to stand where it can be managed: what waits behind the socket is one quantum. A fast link drains more
/// than that in a turn of the loop, at whose end everything is sent.
void RelayLink::limit_unsent() {
  const std::size_t limit = quantum_ < relay::kMaxQuantumBytes ? quantum_ : kFastUnsentBytes;
  if (limit == unsent_limit_ || connection_.unsent_bytes() >= limit) return;
  unsent_limit_ = limit;
  connection_.set_unsent_limit(limit);
}

std::size_t RelayLink::quantum(Instant now) {
  if (now - measured_ >= kMeasureInterval) {
    measured_ = now;
    measure();
  }
  return quantum_;
}

void RelayLink::close(relay::CloseCode code, std::string_view reason) {
  if (std::exchange(closing_, true)) return;
  connection_.close(static_cast<std::uint16_t>(code), reason);
}

}  // namespace higgs::boson
