#include "bosonserver/stun/stun_server.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <thread>
#include <utility>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/event_loop.h"
#include "net/udp_message.h"
#include "stun/binding.h"

namespace higgs::boson {

namespace {

constexpr unsigned kBatch = 32;
constexpr std::size_t kDatagramBytes = 1500;
/// Batches a turn, so that a flood does not keep the loop from its mailbox.
constexpr int kBatchesPerTurn = 8;

ErrorCode last_error() { return {errno, boost::system::generic_category()}; }

Result<int> open_socket(const Endpoint& listen) {
  const bool v6 = listen.address.is_v6();
  const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return last_error();
  const int on = 1, off = 0;
  if (v6) {
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
  } else {
    ::setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
  }
  const auto address = net::socket_address(listen);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    const auto error = last_error();
    ::close(fd);
    return error;
  }
  return fd;
}

}  // namespace

class StunServer::Impl : private net::FdHandler {
 public:
  Impl(StunOptions options, int fd) : options_(std::move(options)), limiter_(options_.limits), fd_(fd) {
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    if (::getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &length) == 0)
      local_ = net::endpoint_of(storage).value_or(options_.listen);
    loop_.add(fd_, EPOLLIN, *this);
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~Impl() override {
    loop_.stop();
    thread_.join();
    loop_.remove(fd_);
    ::close(fd_);
  }

  Endpoint local() const noexcept { return local_; }
  StunStats stats() const noexcept {
    return {received_, answered_, refused_, malformed_, ignored_, rate_limited_, send_failures_};
  }

 private:
  void on_events(std::uint32_t) override {
    for (int i = 0; i < kBatchesPerTurn && receive_batch(); ++i) {
    }
  }

  bool receive_batch() {
    std::array<mmsghdr, kBatch> headers{};
    std::array<iovec, kBatch> vectors;
    for (unsigned i = 0; i < kBatch; ++i) {
      vectors[i] = {requests_[i].data(), requests_[i].size()};
      headers[i].msg_hdr = {
          &sources_[i], sizeof(sources_[i]), &vectors[i], 1, controls_[i].data(), controls_[i].size(), 0};
    }
    const int count = ::recvmmsg(fd_, headers.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count <= 0) return false;
    unsigned answers = 0;
    for (unsigned i = 0; i < static_cast<unsigned>(count); ++i) answers += answer(headers[i], i, answers) ? 1 : 0;
    send_batch(answers);
    return count == static_cast<int>(kBatch);
  }

  /// Prepares answer number `slot`; false if there is none.
  bool answer(const mmsghdr& header, unsigned index, unsigned slot) {
    ++received_;
    const auto source = net::endpoint_of(sources_[index]);
    if (!source || (header.msg_hdr.msg_flags & MSG_TRUNC) != 0) {
      ++malformed_;
      return false;
    }
    const ByteView request = ByteView(requests_[index]).first(header.msg_len);
    const auto given = stun::answer_binding(request, *source, options_.software, answers_[slot].bytes);
    switch (given.outcome) {
      case stun::BindingOutcome::kMalformed:
        ++malformed_;
        return false;
      case stun::BindingOutcome::kIgnored:
        ++ignored_;
        return false;
      case stun::BindingOutcome::kAnswered:
      case stun::BindingOutcome::kRefused:
        break;
    }
    if (given.bytes.empty()) return false;
    if (!limiter_.allow(loop_.now().monotonic, source->address)) {
      ++rate_limited_;
      return false;
    }
    ++(given.outcome == stun::BindingOutcome::kAnswered ? answered_ : refused_);
    Answer& out = answers_[slot];
    out.size = given.bytes.size();
    out.to = sources_[index];
    out.to_length = header.msg_hdr.msg_namelen;
    // From the address that was asked: a host may have several.
    out.source = net::read_control(header.msg_hdr).source;
    return true;
  }

  void send_batch(unsigned count) {
    std::array<mmsghdr, kBatch> headers{};
    std::array<iovec, kBatch> vectors;
    for (unsigned i = 0; i < count; ++i) {
      Answer& out = answers_[i];
      vectors[i] = {out.bytes.data(), out.size};
      headers[i].msg_hdr = {&out.to, out.to_length, &vectors[i], 1, nullptr, 0, 0};
      net::put_control(headers[i].msg_hdr, out.control, out.source, 0);
    }
    for (unsigned sent = 0; sent < count;) {
      const int done = ::sendmmsg(fd_, headers.data() + sent, count - sent, MSG_DONTWAIT);
      if (done > 0) {
        sent += static_cast<unsigned>(done);
      } else {
        // One that cannot be sent does not keep the others back; the client asks again.
        ++send_failures_;
        ++sent;
      }
    }
  }

  struct Answer {
    ByteArray<stun::kBindingBufferBytes> bytes;
    std::size_t size = 0;
    sockaddr_storage to{};
    socklen_t to_length = 0;
    std::optional<net::UdpSource> source;
    net::ControlBuffer control;
  };

  StunOptions options_;
  SourceLimiter limiter_;
  int fd_;
  Endpoint local_;
  net::EventLoop loop_;
  std::array<ByteArray<kDatagramBytes>, kBatch> requests_;
  std::array<sockaddr_storage, kBatch> sources_;
  std::array<net::ControlBuffer, kBatch> controls_;
  std::array<Answer, kBatch> answers_;
  std::atomic<std::uint64_t> received_{0}, answered_{0}, refused_{0}, malformed_{0}, ignored_{0}, rate_limited_{0},
      send_failures_{0};
  std::thread thread_;
};

Result<std::unique_ptr<StunServer>> StunServer::start(StunOptions options) {
  const auto fd = open_socket(options.listen);
  if (!fd) return fd.error();
  return std::unique_ptr<StunServer>(new StunServer(std::make_unique<Impl>(std::move(options), *fd)));
}

StunServer::StunServer(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
StunServer::~StunServer() = default;
Endpoint StunServer::local() const noexcept { return impl_->local(); }
StunStats StunServer::stats() const noexcept { return impl_->stats(); }

}  // namespace higgs::boson
