#include "higgsvpn/kill_switch.h"

#include <algorithm>
#include <filesystem>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "higgsvpn/marks.h"
#include "higgsvpn/testing/interfaces.h"
#include "tunnel/firewall.h"
#include "tunnel/testing/own_network.h"
#include "tunnel/undo_journal.h"

namespace higgs::vpn {
namespace {

using testing::make_interfaces;
using tunnel::run_command;
using tunnel::testing::in_own_network;
using tunnel::testing::output_of;

std::vector<std::string> rules_of(const tunnel::FirewallRules& rules, const std::string& chain) {
  for (const auto& each : rules.chains) {
    if (each.name == chain) return each.rules;
  }
  return {};
}

KillSwitchOptions open_options() {
  return {true, false, kFirewallMark,
          KillSwitchOptions::Tunnel{"higgs0", {*IpAddress::parse("10.7.0.2"), *IpAddress::parse("fd00::2")}}};
}

TEST(KillSwitchPlan, ClosedLetsOnlyOurOwnSocketsThrough) {
  const auto plan = make_firewall_plan({true, false, kFirewallMark, std::nullopt});
  EXPECT_EQ(tunnel::find_fault(plan), std::nullopt);
  EXPECT_EQ(rules_of(plan.v4, "HIGGSVPN-OUT"),
            (std::vector<std::string>{"-o lo -j RETURN", "-m mark --mark 0x48494756 -j RETURN",
                                      "-p udp -m udp --sport 68 --dport 67 -j RETURN", "-j DROP"}));
  EXPECT_EQ(rules_of(plan.v4, "HIGGSVPN-FORWARD"), std::vector<std::string>{"-j DROP"});
  EXPECT_EQ(rules_of(plan.v6, "HIGGSVPN-OUT"),
            (std::vector<std::string>{"-o lo -j RETURN", "-m mark --mark 0x48494756 -j RETURN",
                                      "-p udp -m udp --sport 546 --dport 547 -j RETURN",
                                      "-p ipv6-icmp -m icmp6 --icmpv6-type 133 -m hl --hl-eq 255 -j RETURN",
                                      "-p ipv6-icmp -m icmp6 --icmpv6-type 134 -m hl --hl-eq 255 -j RETURN",
                                      "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j RETURN",
                                      "-p ipv6-icmp -m icmp6 --icmpv6-type 136 -m hl --hl-eq 255 -j RETURN",
                                      "-d ff02::/16 -p ipv6-icmp -m icmp6 --icmpv6-type 143 -j RETURN", "-j DROP"}));
  EXPECT_EQ(rules_of(plan.v6, "HIGGSVPN-FORWARD"), std::vector<std::string>{"-j DROP"});
}

TEST(KillSwitchPlan, NothingPassesByADestinationBeyondTheLink) {
  for (const auto& options : {open_options(), KillSwitchOptions{true, false, kFirewallMark, std::nullopt}}) {
    const auto plan = make_firewall_plan(options);
    for (const auto& rules : {rules_of(plan.v4, "HIGGSVPN-OUT"), rules_of(plan.v6, "HIGGSVPN-OUT")}) {
      for (const std::string& rule : rules) {
        const std::size_t destination = rule.find("-d ");
        EXPECT_TRUE(destination == std::string::npos || rule.substr(destination).starts_with("-d ff02::/16 ")) << rule;
      }
    }
  }
}

TEST(KillSwitchPlan, OpenGuardsTheTunnelsAddresses) {
  const auto plan = make_firewall_plan(open_options());
  EXPECT_EQ(tunnel::find_fault(plan), std::nullopt);
  EXPECT_EQ(rules_of(plan.v4, "HIGGSVPN-IN"),
            (std::vector<std::string>{"-i lo -j RETURN", "-d 10.7.0.2/32 ! -i higgs0 -j DROP"}));
  EXPECT_EQ(rules_of(plan.v6, "HIGGSVPN-IN"),
            (std::vector<std::string>{"-i lo -j RETURN", "-d fd00::2/128 ! -i higgs0 -j DROP"}));
}

TEST(KillSwitchPlan, LanIsOpenedWithoutItsResolvers) {
  KillSwitchOptions options = open_options();
  options.allow_lan = true;
  const auto rules = rules_of(make_firewall_plan(options).v4, "HIGGSVPN-OUT");
  const auto dns = std::find(rules.begin(), rules.end(), "-p udp -m udp --dport 53 -j DROP");
  const auto lan = std::find(rules.begin(), rules.end(), "-d 192.168.0.0/16 -j RETURN");
  ASSERT_NE(dns, rules.end());
  ASSERT_NE(lan, rules.end());
  EXPECT_LT(dns, lan);
}

TEST(KillSwitchPlan, OffKeepsOnlyWhatTheTunnelNeeds) {
  KillSwitchOptions options = open_options();
  options.enabled = false;
  const auto plan = make_firewall_plan(options);
  EXPECT_TRUE(rules_of(plan.v4, "HIGGSVPN-OUT").empty());
  EXPECT_FALSE(rules_of(plan.v4, "HIGGSVPN-IN").empty());
  EXPECT_FALSE(rules_of(plan.v4, "HIGGSVPN-MARK-IN").empty());
}

// Whether a datagram may leave, as the kernel answers sendto(): a packet that OUTPUT drops is EPERM.
bool may_send(const char* to, std::uint16_t port, std::uint32_t mark) {
  const bool v6 = std::string_view(to).find(':') != std::string_view::npos;
  const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (mark != 0) {
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark), 0);
  }
  sockaddr_in v4_to{};
  sockaddr_in6 v6_to{};
  v4_to.sin_family = AF_INET;
  v4_to.sin_port = htons(port);
  v6_to.sin6_family = AF_INET6;
  v6_to.sin6_port = htons(port);
  ::inet_pton(v6 ? AF_INET6 : AF_INET, to,
              v6 ? static_cast<void*>(&v6_to.sin6_addr) : static_cast<void*>(&v4_to.sin_addr));
  const ssize_t sent = v6 ? ::sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&v6_to), sizeof v6_to)
                          : ::sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&v4_to), sizeof v4_to);
  ::close(fd);
  return sent == 1;
}

/// The same of an ICMPv6 message.
bool may_send_icmp(const char* to, std::uint8_t type, int hop_limit) {
  const int fd = ::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
  for (const int option : {IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS}) {
    EXPECT_EQ(::setsockopt(fd, IPPROTO_IPV6, option, &hop_limit, sizeof hop_limit), 0);
  }
  EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 4), 0);
  sockaddr_in6 there{};
  there.sin6_family = AF_INET6;
  ::inet_pton(AF_INET6, to, &there.sin6_addr);
  const std::uint8_t message[24] = {type};
  const ssize_t sent = ::sendto(fd, message, sizeof message, 0, reinterpret_cast<sockaddr*>(&there), sizeof there);
  ::close(fd);
  return sent == sizeof message;
}

class KillSwitchTest : public ::testing::Test {
 protected:
  KillSwitchTest() {
    std::string pattern = ::testing::TempDir() + "higgs-kill-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~KillSwitchTest() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(KillSwitchTest, NeighbourDiscoveryIsNoWayOut) {
  if (!in_own_network([&] {
        make_interfaces();
        auto journal = tunnel::UndoJournal::open(directory_ / "journal").value();
        const char* outside = "2001:db8:5::1";
        EXPECT_TRUE(may_send_icmp(outside, 128, 64)) << "else the test proves nothing";
        tunnel::Firewall firewall;
        ASSERT_TRUE(firewall.apply(make_firewall_plan({true, false, kFirewallMark, std::nullopt}), journal))
            << firewall.detail();
        for (const std::uint8_t type : {133, 134, 135, 136}) {
          EXPECT_TRUE(may_send_icmp("ff02::1", type, 255)) << int{type};
          EXPECT_FALSE(may_send_icmp(outside, type, 64)) << int{type};
        }
        EXPECT_TRUE(may_send_icmp("ff02::16", 143, 1));
        EXPECT_FALSE(may_send_icmp(outside, 143, 255));
        for (const std::uint8_t type : {1, 128, 129, 137}) EXPECT_FALSE(may_send_icmp(outside, type, 255)) << int{type};
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(KillSwitchTest, DropsAllButWhatCarriesTheTunnel) {
  if (!in_own_network([&] {
        make_interfaces();
        testing::command({"ip", "route", "add", "203.0.113.0/24", "dev", "higgs0"});
        testing::command({"ip", "-6", "route", "add", "2001:db8:1::/64", "dev", "higgs0"});
        auto journal = tunnel::UndoJournal::open(directory_ / "journal").value();
        const std::string before = output_of({"iptables-save"}) + output_of({"ip6tables-save"});
        const std::vector<const char*> outside{"198.51.100.1", "192.168.7.1", "2001:db8::1", "2001:db8:5::1"};
        for (const char* to : outside) EXPECT_TRUE(may_send(to, 9, 0)) << to << ": else the test proves nothing";

        tunnel::Firewall firewall;
        ASSERT_TRUE(firewall.apply(make_firewall_plan({true, false, kFirewallMark, std::nullopt}), journal))
            << firewall.detail();
        for (const char* to : outside) {
          EXPECT_FALSE(may_send(to, 9, 0)) << to;
          EXPECT_FALSE(may_send(to, 443, 0)) << to;
          EXPECT_FALSE(may_send(to, 53, 0)) << to;
          EXPECT_FALSE(may_send(to, 9, kFirewallMark + 1)) << to;
          EXPECT_TRUE(may_send(to, 9, kFirewallMark)) << to;
        }
        EXPECT_TRUE(may_send("127.0.0.1", 9, 0));
        EXPECT_TRUE(may_send("::1", 9, 0));
        EXPECT_FALSE(may_send("203.0.113.1", 9, 0)) << "the tunnel is not open yet";

        ASSERT_TRUE(firewall.apply(make_firewall_plan(open_options()), journal)) << firewall.detail();
        EXPECT_TRUE(may_send("203.0.113.1", 9, 0));
        EXPECT_TRUE(may_send("2001:db8:1::1", 9, 0));
        for (const char* to : outside) EXPECT_FALSE(may_send(to, 9, 0)) << to;

        KillSwitchOptions lan = open_options();
        lan.allow_lan = true;
        ASSERT_TRUE(firewall.apply(make_firewall_plan(lan), journal)) << firewall.detail();
        EXPECT_TRUE(may_send("192.168.7.1", 9, 0));
        EXPECT_FALSE(may_send("192.168.7.1", 53, 0)) << "not its resolver";
        EXPECT_FALSE(may_send("198.51.100.1", 9, 0));

        EXPECT_TRUE(
            journal.undo({{std::string(tunnel::Firewall::kUndoKind), tunnel::Firewall::undo_handler()}}).empty());
        EXPECT_EQ(output_of({"iptables-save"}) + output_of({"ip6tables-save"}), before);
        for (const char* to : outside) EXPECT_TRUE(may_send(to, 9, 0)) << to;
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

}  // namespace
}  // namespace higgs::vpn
