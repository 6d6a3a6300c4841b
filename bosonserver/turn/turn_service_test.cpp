// The TURN server on real sockets of the loopback.
#include "bosonserver/turn/turn_service.h"

#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bosonserver/stun/stun_server.h"
#include "net/udp_message.h"
#include "runtime/clock.h"
#include "stun/message.h"
#include "turn/turn_client.h"

namespace higgs::boson {
namespace {

using namespace std::chrono_literals;
constexpr auto kDeadline = 20s;

class Socket {
 public:
  explicit Socket(int kind) : fd_(::socket(AF_INET, kind | SOCK_CLOEXEC, 0)) {
    const auto any = net::socket_address(*Endpoint::parse("127.0.0.1:0"));
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&any.storage), any.length), 0);
  }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  Endpoint local() const {
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &length);
    return *net::endpoint_of(storage);
  }
  void connect(const Endpoint& to) const {
    const auto address = net::socket_address(to);
    ASSERT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address.storage), address.length), 0);
  }
  void send(const Endpoint& to, ByteView bytes) const {
    const auto address = net::socket_address(to);
    ASSERT_EQ(::sendto(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL,
                       reinterpret_cast<const sockaddr*>(&address.storage), address.length),
              std::ssize(bytes));
  }
  void write(ByteView bytes) const { ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  /// nullopt: nothing came in time. Empty: the end of the stream.
  std::optional<Bytes> receive(std::chrono::milliseconds deadline = kDeadline) {
    pollfd poll{fd_, POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(deadline.count())) != 1) return std::nullopt;
    Bytes bytes(4096);
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    const auto size = ::recvfrom(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&storage), &length);
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    if (const auto from = net::endpoint_of(storage)) from_ = *from;
    return bytes;
  }
  Endpoint from() const { return from_; }

 private:
  int fd_;
  Endpoint from_;
};

class OneUser final : public turn::Authority {
 public:
  std::optional<SecretString> password(WallTime, std::string_view user) override {
    return user == "user" ? std::optional(SecretString("secret")) : std::nullopt;
  }
  bool permits(std::string_view, const IpAddress&) override { return true; }
};

class TurnServiceTest : public ::testing::Test {
 protected:
  void start(TurnOptions options = {}) {
    options.tcp = *Endpoint::parse("127.0.0.1:0");
    auto made = TurnService::make(std::move(options), users_, random_);
    ASSERT_TRUE(made) << made.error().message();
    service_ = std::move(*made);
    StunOptions stun;
    stun.listen = *Endpoint::parse("127.0.0.1:0");
    stun.sink = service_.get();
    stun_ = std::move(StunServer::start(std::move(stun)).value());
  }
  void TearDown() override {
    stun_.reset();
    service_.reset();
  }
  /// Runs the client until that is so; true if it came to be in time.
  template <class Condition>
  bool drive(turn::Client& client, Socket& socket, Condition&& done, std::optional<Bytes>* data = nullptr) {
    const auto deadline = runtime::now().monotonic + kDeadline;
    while (!done()) {
      const auto now = runtime::now().monotonic;
      if (now > deadline) return false;
      client.handle_timeout(now);
      while (const auto bytes = client.poll_transmit()) socket.send(stun_->local(), *bytes);
      auto received = socket.receive(20ms);
      if (!received) continue;
      if (auto peer = client.handle_packet(runtime::now().monotonic, *received))
        if (data != nullptr) *data = to_bytes(peer->bytes);
    }
    return true;
  }
  template <class Condition>
  bool wait(Condition&& done) {
    const auto deadline = runtime::now().monotonic + kDeadline;
    while (!done()) {
      if (runtime::now().monotonic > deadline) return false;
      // Wakes the loop, which makes its statistics at the end of a turn.
      stun_->post([] {});
      std::this_thread::yield();
    }
    return true;
  }

  OneUser users_;
  SystemRandom random_;
  std::unique_ptr<TurnService> service_;
  std::unique_ptr<StunServer> stun_;
};

TEST_F(TurnServiceTest, AClientReachesItsPeerAndIsReached) {
  start();
  Socket socket(SOCK_DGRAM), peer(SOCK_DGRAM);
  turn::ClientOptions options;
  options.server = stun_->local();
  options.username = "user";
  options.password = SecretString("secret");
  turn::Client client(runtime::now().monotonic, std::move(options), random_);
  ASSERT_TRUE(drive(client, socket, [&] { return client.state() == turn::ClientState::kAllocated; }));
  EXPECT_EQ(client.mapped(), socket.local());
  ASSERT_GE(client.relayed()->port, 49152);
  ASSERT_TRUE(client.add_peer(runtime::now().monotonic, peer.local()));
  ASSERT_TRUE(drive(client, socket, [&] { return client.channel(peer.local()) != 0; }));

  Bytes buffer(128);
  socket.send(stun_->local(), client.wrap(peer.local(), as_bytes("out"), random_, buffer));
  EXPECT_EQ(as_text(*peer.receive()), "out");
  EXPECT_EQ(peer.from(), *client.relayed());
  std::optional<Bytes> data;
  peer.send(*client.relayed(), as_bytes("in"));
  ASSERT_TRUE(drive(
      client, socket, [&] { return data.has_value(); }, &data));
  EXPECT_EQ(as_text(*data), "in");
  EXPECT_TRUE(wait([&] { return service_->stats().server.relayed_packets == 2; }));

  service_->revoke("user");
  EXPECT_TRUE(wait([&] { return service_->stats().allocations == 0; }));
  EXPECT_EQ(service_->stats().server.revoked, 1u);
}

ByteView bare_allocate(MutableBytes buffer) {
  stun::MessageBuilder builder(buffer, stun::MessageClass::kRequest, stun::kAllocateMethod, {std::byte{5}});
  return builder.add_u32(stun::AttributeType::kRequestedTransport, 17u << 24).finish();
}

TEST_F(TurnServiceTest, AStreamIsCutIntoMessagesWhereverItIsTorn) {
  start();
  Socket socket(SOCK_STREAM);
  socket.connect(*service_->tcp());
  ByteArray<128> buffer;
  const auto request = bare_allocate(buffer);
  Bytes three;
  for (int i = 0; i < 3; ++i) three.insert(three.end(), request.begin(), request.end());
  socket.write(ByteView(three).first(5));
  socket.write(ByteView(three).subspan(5, 30));
  socket.write(ByteView(three).subspan(35));
  Bytes all;
  std::size_t answers = 0;
  while (answers < 3) {
    const auto more = socket.receive();
    ASSERT_TRUE(more && !more->empty());
    all.insert(all.end(), more->begin(), more->end());
    while (const auto size = turn::stream_message_bytes(all)) {
      if (*size == 0 || *size > all.size()) break;
      EXPECT_EQ(stun::error_code(*stun::parse(ByteView(all).first(*size))), 401u);
      all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(*size));
      ++answers;
    }
  }
  EXPECT_TRUE(all.empty());
}

TEST_F(TurnServiceTest, ABindingRequestIsAnsweredOverAStreamToo) {
  start();
  Socket socket(SOCK_STREAM);
  socket.connect(*service_->tcp());
  ByteArray<128> buffer;
  stun::MessageBuilder builder(buffer, stun::MessageClass::kRequest, stun::kBindingMethod, {});
  socket.write(builder.finish());
  const auto answer = socket.receive();
  ASSERT_TRUE(answer && !answer->empty());
  EXPECT_EQ(stun::mapped_address(*stun::parse(*answer)), socket.local());
}

TEST_F(TurnServiceTest, RubbishEndsAStream) {
  start();
  Socket socket(SOCK_STREAM);
  socket.connect(*service_->tcp());
  socket.write(as_bytes("\xff not STUN"));
  EXPECT_EQ(socket.receive(), Bytes{});
  EXPECT_TRUE(wait([&] { return service_->stats().connections == 0; }));
}

TEST_F(TurnServiceTest, SilentStreamsEndAndTooManyAreRefused) {
  TurnOptions options;
  options.streams.connections_per_source = 2;
  options.streams.idle = 0s;
  start(std::move(options));
  Socket one(SOCK_STREAM), two(SOCK_STREAM), three(SOCK_STREAM);
  one.connect(*service_->tcp());
  two.connect(*service_->tcp());
  three.connect(*service_->tcp());
  EXPECT_EQ(three.receive(), Bytes{});
  EXPECT_EQ(one.receive(), Bytes{});
  EXPECT_EQ(two.receive(), Bytes{});
  EXPECT_TRUE(wait([&] { return service_->stats().connections == 0; }));
  EXPECT_GE(service_->stats().streams.refused, 1u);
  EXPECT_GE(service_->stats().streams.timeouts, 1u);
}

TEST_F(TurnServiceTest, AnotherServersPortIsAnError) {
  start();
  TurnOptions options;
  options.tcp = service_->tcp();
  const auto second = TurnService::make(std::move(options), users_, random_);
  ASSERT_TRUE(second.has_error());
  EXPECT_EQ(second.error().value(), EADDRINUSE);
}

}  // namespace
}  // namespace higgs::boson
