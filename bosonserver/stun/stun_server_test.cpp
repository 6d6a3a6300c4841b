#include "bosonserver/stun/stun_server.h"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/event_loop.h"
#include "net/udp_message.h"
#include "stun/binding.h"

namespace higgs::boson {
namespace {

using namespace std::chrono_literals;
const Instant kStart{1000s};

TEST(SourceLimiter, EachSourceHasItsOwnBucket) {
  SourceLimiter limiter({10, 3, 100});
  const auto one = *IpAddress::parse("192.0.2.1"), other = *IpAddress::parse("192.0.2.2");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.allow(kStart, one));
  EXPECT_FALSE(limiter.allow(kStart, one));
  EXPECT_TRUE(limiter.allow(kStart, other));
  EXPECT_TRUE(limiter.allow(kStart + 100ms, one));
  EXPECT_FALSE(limiter.allow(kStart + 100ms, one));
}

TEST(SourceLimiter, OneIpv6NetworkIsOneSource) {
  SourceLimiter limiter({10, 2, 100});
  EXPECT_TRUE(limiter.allow(kStart, *IpAddress::parse("2001:db8::1")));
  EXPECT_TRUE(limiter.allow(kStart, *IpAddress::parse("2001:db8::2")));
  EXPECT_FALSE(limiter.allow(kStart, *IpAddress::parse("2001:db8::3")));
  EXPECT_TRUE(limiter.allow(kStart, *IpAddress::parse("2001:db8:0:1::1")));
}

TEST(SourceLimiter, TableIsBoundedAndForgetsIdleSources) {
  SourceLimiter limiter({10, 2, 50});
  for (std::uint32_t i = 0; i < 500; ++i) limiter.allow(kStart, IpAddress::v4(i));
  EXPECT_EQ(limiter.tracked(), 50u);
  EXPECT_FALSE(limiter.allow(kStart, IpAddress::v4(1000)));  // the shared bucket of late-comers is empty
  EXPECT_TRUE(limiter.allow(kStart + 2s, IpAddress::v4(1001)));
  EXPECT_EQ(limiter.tracked(), 1u);
}

/// A client socket on loopback.
class Client {
 public:
  explicit Client(const Endpoint& server) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const auto address = net::socket_address(server);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address.storage), address.length), 0);
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Endpoint local() const {
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &length);
    return *net::endpoint_of(storage);
  }
  void send(ByteView bytes) const { ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), 0), std::ssize(bytes)); }
  /// Empty if nothing comes within `deadline`.
  Bytes receive(std::chrono::milliseconds deadline) const {
    pollfd poll{fd_, POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(deadline.count())) != 1) return {};
    Bytes bytes(1500);
    const auto size = ::recv(fd_, bytes.data(), bytes.size(), 0);
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return bytes;
  }

 private:
  int fd_;
};

class StunServerTest : public ::testing::Test {
 protected:
  void start(SourceLimits limits = {}) {
    StunOptions options;
    options.listen = *Endpoint::parse("127.0.0.1:0");
    options.limits = limits;
    server_ = std::move(StunServer::start(options).value());
  }
  stun::TransactionId transaction_{std::byte{7}};
  ByteArray<stun::kBindingBufferBytes> buffer_{};
  std::unique_ptr<StunServer> server_;
};

TEST_F(StunServerTest, TellsAClientItsAddress) {
  start();
  const Client client(server_->local());
  client.send(stun::make_binding_request(transaction_, "test", buffer_));
  EXPECT_EQ(stun::read_binding_response(client.receive(5s), transaction_), client.local());
  EXPECT_EQ(server_->stats().answered, 1u);
}

TEST_F(StunServerTest, RubbishIsCountedAndNotAnswered) {
  start();
  const Client client(server_->local());
  client.send(as_bytes("rubbish"));
  client.send(Bytes(1400, std::byte{0xff}));
  client.send(stun::make_binding_request(transaction_, "test", buffer_));
  EXPECT_TRUE(stun::read_binding_response(client.receive(5s), transaction_));
  EXPECT_EQ(server_->stats().malformed, 2u);
  EXPECT_EQ(server_->stats().received, 3u);
}

TEST_F(StunServerTest, FloodIsCutOffPerSource) {
  start({0.001, 5, 100});
  const Client client(server_->local());
  const auto request = stun::make_binding_request(transaction_, "test", buffer_);
  for (int i = 0; i < 20; ++i) client.send(request);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(client.receive(5s).empty());
  EXPECT_TRUE(client.receive(50ms).empty());
  EXPECT_EQ(server_->stats().rate_limited, 15u);
}

/// One that is not connected, so that it hears every source.
class FreeClient {
 public:
  FreeClient() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const auto address = net::socket_address(*Endpoint::parse("127.0.0.1:0"));
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address.storage), address.length), 0);
  }
  ~FreeClient() { ::close(fd_); }
  FreeClient(const FreeClient&) = delete;
  FreeClient& operator=(const FreeClient&) = delete;

  Endpoint local() const {
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &length);
    return *net::endpoint_of(storage);
  }
  void send(const Endpoint& to, ByteView bytes) const {
    const auto address = net::socket_address(to);
    ASSERT_EQ(::sendto(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&address.storage),
                       address.length),
              std::ssize(bytes));
  }
  /// The next datagram and where it came from.
  std::pair<Endpoint, Bytes> receive() const {
    pollfd poll{fd_, POLLIN, 0};
    if (::poll(&poll, 1, 20'000) != 1) return {};
    Bytes bytes(2000);
    sockaddr_storage storage{};
    socklen_t length = sizeof(storage);
    const auto size = ::recvfrom(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&storage), &length);
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return {*net::endpoint_of(storage), std::move(bytes)};
  }

 private:
  int fd_;
};

class TwoAddresses : public StunServerTest {
 protected:
  TwoAddresses() {
    StunOptions options;
    options.listen = *Endpoint::parse("127.0.0.1:0");
    options.alternate = Endpoint::parse("127.0.0.2:0");
    server_ = std::move(StunServer::start(options).value());
    const Endpoint one = server_->local(), two = *server_->alternate();
    ends_ = {one, {one.address, two.port}, {two.address, one.port}, two};
  }
  Bytes request(std::optional<std::uint32_t> change, std::optional<std::uint16_t> port = {}) {
    stun::MessageBuilder builder(buffer_, stun::MessageClass::kRequest, stun::kBindingMethod, transaction_);
    if (change) builder.add_u32(stun::AttributeType::kChangeRequest, *change);
    if (port) builder.add_u32(stun::AttributeType::kResponsePort, std::uint32_t{*port} << 16);
    return to_bytes(builder.finish());
  }
  /// Bit 0: the other port, bit 1: the other address.
  std::array<Endpoint, 4> ends_;
  FreeClient client_;
};

TEST_F(TwoAddresses, EveryEndAnswersFromWhereItIsAsked) {
  for (std::size_t end = 0; end < 4; ++end) {
    for (const std::uint32_t change : {0u, 2u, 4u, 6u}) {
      client_.send(ends_[end], request(change));
      const auto [from, bytes] = client_.receive();
      const std::size_t expected = end ^ (change >> 1);
      EXPECT_EQ(from, ends_[expected]) << end << " " << change;
      const auto message = stun::parse(bytes);
      ASSERT_TRUE(message);
      EXPECT_EQ(stun::mapped_address(*message), client_.local());
      EXPECT_EQ(message->address(stun::AttributeType::kOtherAddress), ends_[end ^ 3]);
      EXPECT_EQ(message->address(stun::AttributeType::kResponseOrigin), ends_[expected]);
    }
  }
  EXPECT_EQ(server_->stats().answered, 16u);
}

TEST_F(TwoAddresses, AnswerGoesToTheResponsePort) {
  const FreeClient other;
  client_.send(ends_[0], request({}, other.local().port));
  const auto [from, bytes] = other.receive();
  EXPECT_EQ(from, ends_[0]);
  EXPECT_EQ(stun::read_binding_response(bytes, transaction_), client_.local());
}

TEST_F(TwoAddresses, BehindANatTheOutsideAddressesAreTold) {
  StunOptions options;
  options.listen = *Endpoint::parse("127.0.0.3:0");
  options.alternate = Endpoint::parse("127.0.0.4:0");
  options.external = IpAddress::parse("198.51.100.1");
  options.alternate_external = IpAddress::parse("198.51.100.2");
  const auto server = std::move(StunServer::start(options).value());
  client_.send(server->local(), request(6));
  const auto [from, bytes] = client_.receive();
  EXPECT_EQ(from, server->alternate());
  const auto message = stun::parse(bytes);
  ASSERT_TRUE(message);
  const Endpoint outside{*options.alternate_external, from.port};
  EXPECT_EQ(message->address(stun::AttributeType::kOtherAddress), outside);
  EXPECT_EQ(message->address(stun::AttributeType::kResponseOrigin), outside);
}

TEST_F(TwoAddresses, TakenPortsAreAnError) {
  StunOptions options;
  options.listen = *Endpoint::parse("127.0.0.3:0");
  options.alternate = server_->alternate();
  EXPECT_TRUE(StunServer::start(options).has_error());
}

/// Takes every datagram and sends it back reversed.
class Echo final : public DatagramSink {
 public:
  void attach(net::EventLoop& loop, DatagramSender& sender) override {
    loop_ = &loop;
    sender_ = &sender;
  }
  void detach() noexcept override { detached = true; }
  bool on_datagram(const Endpoint& client, const Endpoint& local, MutableBytes datagram) override {
    EXPECT_TRUE(loop_->in_loop_thread());
    if (datagram[0] == std::byte{0xff}) return false;
    std::reverse(datagram.begin(), datagram.end());
    sender_->send(local, client, datagram);
    return true;
  }
  bool detached = false;

 private:
  net::EventLoop* loop_ = nullptr;
  DatagramSender* sender_ = nullptr;
};

TEST(StunServerSink, TakesWhatIsNoBindingRequestAndAnswersFromTheSamePort) {
  Echo echo;
  StunOptions options;
  options.listen = *Endpoint::parse("127.0.0.1:0");
  options.alternate = Endpoint::parse("127.0.0.2:0");
  options.sink = &echo;
  auto server = std::move(StunServer::start(options).value());
  const FreeClient client;
  ByteArray<64> buffer;
  stun::MessageBuilder builder(buffer, stun::MessageClass::kRequest, stun::kAllocateMethod, {});
  const Bytes allocate = to_bytes(builder.finish()), channel_data(8, std::byte{0x40});
  for (const auto& end : {server->local(), *server->alternate()}) {
    for (const auto& sent : {allocate, channel_data}) {
      client.send(end, sent);
      const auto [from, bytes] = client.receive();
      EXPECT_EQ(from, end);
      EXPECT_EQ(bytes, Bytes(sent.rbegin(), sent.rend()));
    }
    client.send(end, Bytes(20, std::byte{0xff}));
    client.send(end, stun::make_binding_request({}, "", buffer));
    EXPECT_EQ(stun::read_binding_response(client.receive().second, {}), client.local());
  }
  EXPECT_EQ(server->stats().handed_on, 4u);
  EXPECT_EQ(server->stats().malformed, 2u);
  EXPECT_EQ(server->stats().answered, 2u);
  EXPECT_FALSE(echo.detached);
  server.reset();
  EXPECT_TRUE(echo.detached);
}

TEST_F(StunServerTest, TakenPortIsAnError) {
  start();
  StunOptions options;
  options.listen = server_->local();
  const auto second = StunServer::start(options);
  ASSERT_TRUE(second.has_error());
  EXPECT_EQ(second.error().value(), EADDRINUSE);
}

}  // namespace
}  // namespace higgs::boson
