// Two userspace drivers, each in a network of its own, joined by nothing but relay links.
#include "tunnel/userspace_driver.h"

#include <mutex>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/random.h"
#include "net/testing/loop_thread.h"
#include "tunnel/netlink.h"
#include "tunnel/testing/link_relay.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::tunnel {
namespace {

using net::testing::LoopThread;
using PacketRelay = testing::LinkRelay;

struct Events : RelayLinkEvents {
  void on_control(LinkId, std::string message) override {
    const std::lock_guard lock(mutex);
    controls.push_back(std::move(message));
  }
  void on_link_closed(LinkId, std::uint16_t, std::string) override {
    const std::lock_guard lock(mutex);
    ++closed;
  }
  void on_link_doubtful(LinkId) override {}
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return controls.size();
  }
  std::mutex mutex;
  std::vector<std::string> controls;
  int closed = 0;
};

/// A computer: a thread in a network of its own, with a driver.
struct Computer {
  /// False where we may not make a network.
  bool open(const char* address, const char* peer_address) {
    if (!thread.call([] { return ::unshare(CLONE_NEWNET) == 0; })) return false;
    return thread.call([&] {
      InterfaceConfig config;
      config.name = "higgs%d";
      config.private_key = crypto::make_private_key(random);
      key = crypto::public_key_of(config.private_key);
      config.addresses = {*IpPrefix::parse(address)};
      auto made = make_userspace_driver(config);
      EXPECT_TRUE(made) << made.error().message();
      if (!made) return false;
      driver = std::move(*made);
      auto netlink = Netlink::open();
      EXPECT_TRUE(netlink->add_route(
          {.prefix = *IpPrefix::parse(peer_address), .ifname = driver->name(), .gateway = {}, .metric = {}}));
      return true;
    });
  }
  ~Computer() {
    thread.call([this] { driver.reset(); });
  }
  wireguard::PeerConfig as_peer(const char* allowed) const {
    wireguard::PeerConfig peer;
    peer.public_key = key;
    peer.allowed_ips = {*IpPrefix::parse(allowed)};
    return peer;
  }
  int udp(const char* address, std::uint16_t port) {
    return thread.call([&] {
      const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(port);
      std::memcpy(&in.sin_addr, IpAddress::parse(address)->bytes().data(), 4);
      EXPECT_EQ(::bind(fd, static_cast<sockaddr*>(static_cast<void*>(&in)), sizeof(in)), 0);
      return fd;
    });
  }
  SystemRandom random;
  wireguard::PublicKey key;
  LoopThread thread;
  std::unique_ptr<TunnelDriver> driver;
};

bool receive(int fd, std::string& text) {
  pollfd wait{fd, POLLIN, 0};
  if (::poll(&wait, 1, 10000) <= 0) return false;
  text.resize(2000);
  const ssize_t length = ::recv(fd, text.data(), text.size(), 0);
  text.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
  return length >= 0;
}

void send_to(int fd, const char* address, std::uint16_t port, std::string_view text) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  std::memcpy(&in.sin_addr, IpAddress::parse(address)->bytes().data(), 4);
  EXPECT_EQ(::sendto(fd, text.data(), text.size(), 0, static_cast<sockaddr*>(static_cast<void*>(&in)), sizeof(in)),
            static_cast<ssize_t>(text.size()));
}

TEST(UserspaceDriver, CarriesPacketsOverRelayLinks) {
  PacketRelay relay;
  Events at_a, at_b;
  Computer a, b;
  if (!a.open("10.9.0.1/32", "10.9.0.2/32") || !b.open("10.9.0.2/32", "10.9.0.1/32"))
    FAIL() << "needs root, or a user namespace with a network";

  const auto link_a = a.driver->attach_link(relay.connect(relay.a), at_a);
  const auto link_b = b.driver->attach_link(relay.connect(relay.b), at_b);
  ASSERT_TRUE(link_a && link_b);
  EXPECT_NE(*link_a, *link_b);
  auto peer = b.as_peer("10.9.0.2/32");
  peer.address = relay_address(*link_a, 0);
  ASSERT_TRUE(a.driver->set_peer(peer));
  ASSERT_TRUE(b.driver->set_peer(a.as_peer("10.9.0.1/32")));  // learns where it is from the handshake

  const int socket_a = a.udp("10.9.0.1", 1000), socket_b = b.udp("10.9.0.2", 2000);
  send_to(socket_a, "10.9.0.2", 2000, "there");
  std::string text;
  ASSERT_TRUE(receive(socket_b, text));
  EXPECT_EQ(text, "there");
  send_to(socket_b, "10.9.0.1", 1000, "and back");
  ASSERT_TRUE(receive(socket_a, text));
  EXPECT_EQ(text, "and back");

  const auto status = b.driver->peer_status(a.key);
  ASSERT_TRUE(status && *status);
  EXPECT_EQ((*status)->address, relay_address(*link_b, 5));
  EXPECT_TRUE((*status)->has_session);
  EXPECT_TRUE((*status)->allowed_ips.empty());
  const auto links = b.driver->link_status(*link_b);
  ASSERT_TRUE(links);
  EXPECT_GE(links->received_packets, 2u);
  EXPECT_GE(links->sent_packets, 2u);

  // A new handshake by order of the control plane, while nothing else is sent. The responder takes no second one of a
  // peer within 20 ms.
  const auto begun = std::chrono::steady_clock::now();
  a.thread.wait([&] { return std::chrono::steady_clock::now() - begun > std::chrono::milliseconds(50); });
  const auto before = b.driver->status()->counters.handshakes_completed;
  ASSERT_TRUE(a.driver->restart_handshake(b.key));
  a.thread.wait([&] { return a.driver->peer_status(b.key).value()->has_session; });
  send_to(socket_a, "10.9.0.2", 2000, "again");
  ASSERT_TRUE(receive(socket_b, text));
  EXPECT_GT(b.driver->status()->counters.handshakes_completed, before);

  // Control goes through, until the link is detached.
  ASSERT_TRUE(a.driver->send_control(*link_a, "{}"));
  a.thread.wait([&] { return at_a.count() == 1; });
  ASSERT_TRUE(a.driver->detach_link(*link_a));
  EXPECT_EQ(a.driver->send_control(*link_a, "{}").error(), TunnelError::kNoSuchLink);
  EXPECT_EQ(a.driver->link_status(*link_a).error(), TunnelError::kNoSuchLink);
  EXPECT_EQ(a.driver->detach_link(*link_a).error(), TunnelError::kNoSuchLink);
  EXPECT_EQ(at_a.closed, 0);
  b.thread.wait([&] { return at_b.count() == 0; });

  // Reconnected: a new link takes the tunnel over, the session goes on.
  const auto again = a.driver->attach_link(relay.connect(relay.a), at_a);
  ASSERT_TRUE(again);
  peer.address = relay_address(*again, 0);
  peer.allowed_ips.clear();
  ASSERT_TRUE(a.driver->set_peer(peer));
  send_to(socket_a, "10.9.0.2", 2000, "moved");
  ASSERT_TRUE(receive(socket_b, text));
  EXPECT_EQ(text, "moved");
  ::close(socket_a);
  ::close(socket_b);
}

TEST(UserspaceDriver, ErrorsHaveNames) {
  Computer a;
  if (!a.open("10.9.0.1/32", "10.9.0.2/32")) FAIL() << "needs root, or a user namespace with a network";
  a.thread.call([&] {
    const auto status = a.driver->status();
    EXPECT_TRUE(status);
    EXPECT_EQ(status->mtu, 1420u);
    EXPECT_NE(status->listen_port, 0);
    InterfaceConfig config;
    config.name = status->name;
    EXPECT_EQ(make_userspace_driver(config).error(), TunnelError::kNameTaken);
    config.name = "other";
    config.listen_port = status->listen_port;
    EXPECT_EQ(make_userspace_driver(config).error(), TunnelError::kPortTaken);
    auto netlink = Netlink::open();
    EXPECT_FALSE(netlink->link("other")) << "a failed start leaves no interface";
    EXPECT_TRUE(netlink->link(status->name)->up);
  });
  EXPECT_EQ(a.driver->remove_peer(a.key).error(), TunnelError::kNoSuchPeer);
  EXPECT_EQ(a.driver->restart_handshake(a.key).error(), TunnelError::kNoSuchPeer);
  EXPECT_FALSE(a.driver->peer_status(a.key).value());
  EXPECT_EQ(a.driver->link_status(1).error(), TunnelError::kNoSuchLink);
}

TEST(UserspaceDriver, InterfaceGoesWithTheDriver) {
  Computer a;
  if (!a.open("10.9.0.1/32", "10.9.0.2/32")) FAIL() << "needs root, or a user namespace with a network";
  const std::string name = a.driver->name();
  a.thread.call([&] {
    a.driver.reset();
    EXPECT_FALSE(Netlink::open()->link(name));
  });
}

TEST(UserspaceDriver, TrainsOfAnyMtuFitADatagram) {
  EXPECT_EQ(train_segments(1420), 45u);
  EXPECT_EQ(train_segments(1280), 49u);
  EXPECT_EQ(train_segments(576), 64u);
  EXPECT_EQ(train_segments(9000), 7u);
  EXPECT_EQ(train_segments(65535), 1u);
}

}  // namespace
}  // namespace higgs::tunnel
