#include "net/udp_socket.h"

#include <cstring>
#include <functional>
#include <thread>

#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/udp_remotes.h"

namespace higgs::net {
namespace {

Endpoint loopback(std::uint16_t port, bool v6 = false) { return {*IpAddress::parse(v6 ? "::1" : "127.0.0.1"), port}; }

UdpSocket open(UdpSocket::Options options = {}) {
  auto socket = UdpSocket::open(options);
  EXPECT_TRUE(socket) << socket.error().message();
  return std::move(*socket);
}

struct Got {
  Bytes bytes;
  Endpoint from;
};

/// Receives until `count` datagrams are there or nothing comes for two seconds. Trains are cut apart.
std::vector<Got> receive(UdpSocket& socket, std::size_t count, bool v6 = false, std::size_t* trains = nullptr) {
  const int fd = v6 ? socket.fd_v6() : socket.fd_v4();
  std::vector<Got> result;
  while (result.size() < count) {
    pollfd wait{fd, POLLIN, 0};
    if (::poll(&wait, 1, 2000) <= 0) break;
    for (const auto& received : socket.receive(fd)) {
      if (trains != nullptr && received.bytes.size() > received.segment_bytes) ++*trains;
      for (std::size_t at = 0; at < received.bytes.size(); at += received.segment_bytes) {
        const auto piece = received.bytes.subspan(at, std::min(received.segment_bytes, received.bytes.size() - at));
        result.push_back({to_bytes(piece), received.from});
      }
    }
  }
  return result;
}

std::vector<Bytes> numbered(const std::vector<std::size_t>& sizes) {
  std::vector<Bytes> packets;
  for (std::size_t i = 0; i < sizes.size(); ++i) packets.emplace_back(sizes[i], static_cast<std::byte>(i));
  return packets;
}

void expect_delivery(UdpSocket& from, UdpSocket& to, const std::vector<std::size_t>& sizes, bool v6 = false) {
  const auto packets = numbered(sizes);
  const std::vector<ByteView> views(packets.begin(), packets.end());
  from.send(loopback(to.port(), v6), views);
  const auto got = receive(to, packets.size(), v6);
  ASSERT_EQ(got.size(), packets.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].bytes, packets[i]) << i;
    EXPECT_EQ(got[i].from, loopback(from.port(), v6));
  }
}

const std::vector<std::size_t> kMixed = {100, 1400, 1400, 1400, 900, 1400, 32, 32, 32, 33, 1};

/// Every combination of what kernel or peer may lack.
TEST(UdpSocket, DeliversInOrderWithAndWithoutOffloads) {
  for (const bool segment : {true, false}) {
    for (const bool gather : {true, false}) {
      for (const bool v6 : {true, false}) {
        UdpSocket a = open({.segment = segment, .gather = gather});
        UdpSocket b = open({.segment = !segment, .gather = gather});
        if (v6 && a.fd_v6() < 0) continue;
        expect_delivery(a, b, kMixed, v6);
        expect_delivery(b, a, std::vector<std::size_t>(150, 1400), v6);
        EXPECT_EQ(a.counters().sent_packets, kMixed.size());
      }
    }
  }
}

TEST(UdpSocket, EqualPacketsLeaveInOneCallAndArriveAsATrain) {
  UdpSocket a = open(), b = open();
  const auto packets = numbered(std::vector<std::size_t>(40, 1400));
  const std::vector<ByteView> views(packets.begin(), packets.end());
  a.send(loopback(b.port()), views);
  EXPECT_EQ(a.counters().sent_calls, 1u);
  std::size_t trains = 0;
  EXPECT_EQ(receive(b, 40, false, &trains).size(), 40u);
  EXPECT_EQ(trains, 1u);
  EXPECT_EQ(b.counters().received_calls, 1u);
}

TEST(UdpSocket, BothFamiliesShareOnePort) {
  UdpSocket a = open();
  EXPECT_NE(a.port(), 0);
  const auto again = UdpSocket::open({.port = a.port()});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), boost::system::errc::address_in_use);
}

TEST(UdpSocket, SendErrorsAreCountedAndDoNotStopTheRest) {
  UdpSocket a = open(), b = open();
  const auto packets = numbered({100, 65508, 101});  // the middle one is longer than any datagram
  const std::vector<ByteView> views(packets.begin(), packets.end());
  a.send(loopback(b.port()), views);
  const auto got = receive(b, 2);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[1].bytes, packets[2]);
  EXPECT_EQ(a.counters().dropped_error, 1u);
}

TEST(UdpSocket, AnswersFromTheAddressItWasAskedAt) {
  UdpSocket server = open(), client = open();
  const Bytes hello(10, std::byte{1});
  const ByteView view = hello;
  client.send({*IpAddress::parse("127.0.0.5"), server.port()}, {&view, 1});
  const auto asked = receive(server, 1);
  ASSERT_EQ(asked.size(), 1u);
  server.send(asked[0].from, {&view, 1});
  const auto answer = receive(client, 1);
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].from.to_string(), "127.0.0.5:" + std::to_string(server.port()));
}

TEST(UdpSocket, LocalAddressIsGivenUpWhenNobodyAnswersThere) {
  UdpSocket server = open(), client = open();
  const Bytes hello(10, std::byte{1});
  const ByteView view = hello;
  client.send({*IpAddress::parse("127.0.0.5"), server.port()}, {&view, 1});
  ASSERT_EQ(receive(server, 1).size(), 1u);
  const Endpoint to = loopback(client.port());
  for (const char* source : {"127.0.0.5", "127.0.0.1"}) {  // the second attempt, unanswered, tries the kernel's choice
    server.expect_answer(to);
    server.send(to, {&view, 1});
    const auto got = receive(client, 1);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].from.address.to_string(), source);
  }
}

TEST(UdpRemotes, ForgetsSomeoneAboveItsLimit) {
  UdpRemotes remotes;
  for (std::size_t i = 0; i < UdpRemotes::kLimit + 100; ++i) {
    remotes[{IpAddress::v4(static_cast<std::uint32_t>(i)), 1}].singly = 1;
    ASSERT_LE(remotes.size(), UdpRemotes::kLimit);
  }
}

/// A namespace whose loopback interface has this MTU. False where we may not make one.
bool in_namespace(int mtu, const std::function<void()>& body) {
  bool permitted = false;
  std::thread thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    permitted = true;
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_mtu = mtu;
    EXPECT_EQ(::ioctl(fd, SIOCSIFMTU, &request), 0);
    request.ifr_flags = IFF_UP;
    EXPECT_EQ(::ioctl(fd, SIOCSIFFLAGS, &request), 0);
    ::close(fd);
    body();
  });
  thread.join();
  return permitted;
}

TEST(UdpSocket, TrainLongerThanThePathMtuFallsBackToSingleDatagrams) {
  const bool ran = in_namespace(1300, [] {
    UdpSocket a = open(), b = open();
    expect_delivery(a, b, std::vector<std::size_t>(20, 1400));  // fragmented by IP, one by one
    EXPECT_EQ(a.counters().segment_refused, 1u);
    expect_delivery(a, b, std::vector<std::size_t>(20, 1400));
    EXPECT_EQ(a.counters().segment_refused, 1u);  // remembered for this destination
    UdpSocket c = open();
    expect_delivery(a, c, std::vector<std::size_t>(20, 1200));
    EXPECT_EQ(a.counters().sent_calls, 4u);  // refused, 20 single ones twice, and a train to the other
  });
  if (!ran) FAIL() << "needs root, or a user namespace with a network";
}

TEST(UdpSocket, LocalAddressThatIsGoneIsForgotten) {
  const bool ran = in_namespace(1500, [] {
    const auto address = [](const char* name, const char* text) {
      const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      ifreq request{};
      std::strcpy(request.ifr_name, name);
      sockaddr_in in{};
      in.sin_family = AF_INET;
      const auto parsed = *IpAddress::parse(text);
      std::memcpy(&in.sin_addr, parsed.bytes().data(), 4);
      std::memcpy(&request.ifr_addr, &in, sizeof(in));
      EXPECT_EQ(::ioctl(fd, SIOCSIFADDR, &request), 0);
      ::close(fd);
    };
    address("lo:1", "10.5.0.1");
    UdpSocket server = open(), client = open();
    const Bytes hello(10, std::byte{1});
    const ByteView view = hello;
    client.send({*IpAddress::parse("10.5.0.1"), server.port()}, {&view, 1});
    auto asked = receive(server, 1);
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].from.address.to_string(), "10.5.0.1");
    // The peer stays reachable at another address, our own address changes.
    client.send({*IpAddress::parse("127.0.0.1"), server.port()}, {&view, 1});
    asked = receive(server, 1);
    ASSERT_EQ(asked.size(), 1u);
    address("lo:1", "10.5.0.2");
    server.send({*IpAddress::parse("10.5.0.2"), client.port()}, {&view, 1});
    EXPECT_EQ(receive(client, 1).size(), 1u);
  });
  if (!ran) FAIL() << "needs root, or a user namespace with a network";
}

TEST(UdpSocket, MarkIsSet) {
  const bool ran = in_namespace(1500, [] {
    UdpSocket socket = open({.mark = 0x1234});
    const auto mark = [](int fd) {
      std::uint32_t value = 0;
      socklen_t length = sizeof(value);
      EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_MARK, &value, &length), 0);
      return value;
    };
    EXPECT_EQ(mark(socket.fd_v4()), 0x1234u);
    ASSERT_TRUE(socket.set_mark(0x77));
    EXPECT_EQ(mark(socket.fd_v4()), 0x77u);
    if (socket.fd_v6() >= 0) {
      EXPECT_EQ(mark(socket.fd_v6()), 0x77u);
    }
  });
  if (!ran) FAIL() << "needs root, or a user namespace with a network";
}

}  // namespace
}  // namespace higgs::net
