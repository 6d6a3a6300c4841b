#include "bosonserver/stun/stun_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

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
