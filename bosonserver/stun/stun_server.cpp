#include "bosonserver/stun/stun_server.h"

#include <array>
#include <atomic>
#include <thread>
#include <utility>

#include "bosonserver/stun/stun_socket.h"
#include "net/event_loop.h"
#include "stun/binding.h"

namespace higgs::boson {

namespace {

/// Also the longest answer with PADDING: what passes an Ethernet in one piece.
constexpr std::size_t kAnswerBytes = 1472;
/// A free number may be free on one address and taken on the other.
constexpr int kPortAttempts = 16;

/// Of another method, or none at all: not for answer_binding().
bool for_sink(ByteView datagram) noexcept {
  if (!stun::looks_like_stun(datagram)) return !datagram.empty() && (datagram[0] & std::byte{0xC0}) != std::byte{0};
  const auto type = load_be<std::uint16_t>(datagram.data());
  // The bits of the class apart, Binding is method 1 (RFC 8489, figure 3).
  return (type & 0x3EEF) != stun::kBindingMethod;
}

}  // namespace

class StunServer::Impl : private StunSocket::Owner, private DatagramSender {
 public:
  explicit Impl(StunOptions options) : options_(std::move(options)), limiter_(options_.limits) {}
  ~Impl() override {
    if (thread_.joinable()) {
      loop_.stop();
      thread_.join();
      if (options_.sink) options_.sink->detach();
    }
  }

  ErrorCode open() {
    if (!options_.alternate) return open_one(0, 0, options_.listen);
    // All four with one pair of numbers: CHANGE-REQUEST promises the same port of the other address.
    ErrorCode error;
    for (int i = 0; i < kPortAttempts; ++i) {
      for (auto& socket : sockets_) socket.reset();
      error = open_four();
      if (!error) return error;
      if (options_.listen.port != 0 && options_.alternate->port != 0) break;
    }
    return error;
  }

  void run() {
    if (options_.sink) options_.sink->attach(loop_, *this);
    thread_ = std::thread([this] { loop_.run(); });
  }

  Endpoint local() const noexcept { return sockets_[0]->local(); }
  std::optional<Endpoint> alternate() const noexcept {
    if (!sockets_[3]) return std::nullopt;
    return sockets_[3]->local();
  }
  StunStats stats() const noexcept {
    return {counters_.received, answered_,  refused_,      malformed_ + counters_.truncated,
            ignored_,           handed_on_, rate_limited_, counters_.send_failures};
  }
  void post(std::function<void()> action) { loop_.post(std::move(action)); }

 private:
  /// Number of the socket: bit 0 the other port, bit 1 the other address.
  static constexpr std::size_t index_of(std::size_t address, std::size_t port) noexcept { return address * 2 + port; }

  ErrorCode open_one(std::size_t address, std::size_t port, const Endpoint& listen) {
    auto opened = StunSocket::open(listen, loop_, *this, counters_);
    if (!opened) return opened.error();
    sockets_[index_of(address, port)] = std::move(*opened);
    return {};
  }

  ErrorCode open_four() {
    const IpAddress one = options_.listen.address, two = options_.alternate->address;
    if (auto error = open_one(0, 0, options_.listen)) return error;
    if (auto error = open_one(1, 1, *options_.alternate)) return error;
    const auto first = sockets_[0]->local().port, second = sockets_[3]->local().port;
    if (auto error = open_one(0, 1, {one, second})) return error;
    return open_one(1, 0, {two, first});
  }

  void on_datagram(StunSocket& socket, const Endpoint& source, const Endpoint& local, MutableBytes datagram) override {
    if (for_sink(datagram)) {
      const bool taken = options_.sink && options_.sink->on_datagram(source, local, datagram);
      ++(taken ? handed_on_ : stun::looks_like_stun(datagram) ? ignored_ : malformed_);
      return;
    }
    const std::size_t here = number_of(socket);
    stun::BindingServer server{options_.software, told(local), std::nullopt};
    if (sockets_[3]) server.other = told(sockets_[here ^ 3]->local());
    const auto given = stun::answer_binding(datagram, source, server, answer_);
    if (!counted(given.outcome) || given.bytes.empty()) return;
    if (!limiter_.allow(loop_.now().monotonic, source.address)) {
      ++rate_limited_;
      return;
    }
    ++(given.outcome == stun::BindingOutcome::kAnswered ? answered_ : refused_);
    const std::size_t from = here ^ (given.change_port ? 1u : 0u) ^ (given.change_address ? 2u : 0u);
    const Endpoint to{source.address, given.port.value_or(source.port)};
    sockets_[from]->send(from == here ? local.address : sockets_[from]->local().address, to, given.bytes);
  }

  /// An end of ours as the client sees it.
  Endpoint told(const Endpoint& end) const noexcept {
    if (options_.external && end.address == options_.listen.address) return {*options_.external, end.port};
    if (options_.alternate_external && options_.alternate && end.address == options_.alternate->address)
      return {*options_.alternate_external, end.port};
    return end;
  }

  /// Whether there is an answer to give.
  bool counted(stun::BindingOutcome outcome) noexcept {
    if (outcome == stun::BindingOutcome::kMalformed) ++malformed_;
    if (outcome == stun::BindingOutcome::kIgnored) ++ignored_;
    return outcome == stun::BindingOutcome::kAnswered || outcome == stun::BindingOutcome::kRefused;
  }

  std::size_t number_of(const StunSocket& socket) const noexcept {
    std::size_t number = 0;
    while (sockets_[number].get() != &socket) ++number;
    return number;
  }

  void send(const Endpoint& local, const Endpoint& client, ByteView bytes) override {
    for (const auto& socket : sockets_) {
      if (!socket || socket->local().port != local.port) continue;
      const IpAddress& bound = socket->local().address;
      if (!bound.is_unspecified() && bound != local.address) continue;
      socket->send(local.address, client, bytes);
      return;
    }
    ++counters_.send_failures;
  }

  StunOptions options_;
  SourceLimiter limiter_;
  net::EventLoop loop_;
  StunSocketCounters counters_;
  std::array<std::unique_ptr<StunSocket>, 4> sockets_;
  ByteArray<kAnswerBytes> answer_{};
  std::atomic<std::uint64_t> answered_{0}, refused_{0}, malformed_{0}, ignored_{0}, handed_on_{0}, rate_limited_{0};
  std::thread thread_;
};

Result<std::unique_ptr<StunServer>> StunServer::start(StunOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  if (const auto error = impl->open()) return error;
  impl->run();
  return std::unique_ptr<StunServer>(new StunServer(std::move(impl)));
}

StunServer::StunServer(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
StunServer::~StunServer() = default;
Endpoint StunServer::local() const noexcept { return impl_->local(); }
std::optional<Endpoint> StunServer::alternate() const noexcept { return impl_->alternate(); }
StunStats StunServer::stats() const noexcept { return impl_->stats(); }
void StunServer::post(std::function<void()> action) { impl_->post(std::move(action)); }

}  // namespace higgs::boson
