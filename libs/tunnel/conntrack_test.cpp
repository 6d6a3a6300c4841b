#include "tunnel/conntrack.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tunnel/testing/own_network.h"

namespace higgs::tunnel {
namespace {

IpAddress address(const char* text) { return IpAddress::parse(text).value(); }

/// One datagram over loopback; nobody need listen.
void send_datagram(const char* from, const char* to) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in local{}, remote{};
  local.sin_family = remote.sin_family = AF_INET;
  remote.sin_port = htons(9);
  ::inet_pton(AF_INET, from, &local.sin_addr);
  ::inet_pton(AF_INET, to, &remote.sin_addr);
  EXPECT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof local), 0);
  EXPECT_EQ(::sendto(fd, "x", 1, 0, reinterpret_cast<const sockaddr*>(&remote), sizeof remote), 1);
  ::close(fd);
}

TEST(Conntrack, ForgetsTheFlowsOfOneAddressAlone) {
  const bool ran = testing::in_own_network([] {
    run_command({"ip", "link", "set", "lo", "up"});
    // The kernel follows connections only where a rule asks for it.
    run_command({"iptables", "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "NEW", "-j", "ACCEPT"});
    for (const char* to : {"127.0.0.21", "127.0.0.22", "127.0.0.23"}) send_datagram("127.0.0.11", to);
    send_datagram("127.0.0.12", "127.0.0.21");
    send_datagram("127.0.0.21", "127.0.0.11");
    const auto forgotten = forget_flows_of(address("127.0.0.11"));
    ASSERT_TRUE(forgotten) << forgotten.error().message();
    EXPECT_EQ(*forgotten, 3u);
    EXPECT_EQ(forget_flows_of(address("127.0.0.11")).value(), 0u);
    EXPECT_EQ(forget_flows_of(address("127.0.0.12")).value(), 1u) << "of others nothing was forgotten";
    EXPECT_EQ(forget_flows_of(address("127.0.0.21")).value(), 1u) << "towards the address is not from it";
    EXPECT_EQ(forget_flows_of(address("fd00::1")).value(), 0u);
  });
  if (!ran) FAIL() << "needs root, or a user namespace with a network";
}

}  // namespace
}  // namespace higgs::tunnel
