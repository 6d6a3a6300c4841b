// The rules and sysctls on a host of our own: a network namespace per test. As root a namespace that cannot be made is
// a failure, not a skip.
#include "higgsnode/routing_engine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "higgsnode/forwarding.h"
#include "higgsnode/testing/temporary_directory.h"
#include "runtime/files.h"
#include "tunnel/testing/own_network.h"

namespace higgs::node {
namespace {

using testing_support::TemporaryDirectory;
using tunnel::run_command;
using tunnel::UndoJournal;
using tunnel::testing::in_own_network;
using tunnel::testing::output_of;

constexpr std::uint32_t kTable = 0x48123456;

void in_namespace(const std::function<void()>& body) {
  if (!in_own_network(body)) FAIL() << "needs root, or a user namespace with a network";
}

EgressPolicy engine_policy() {
  EgressPolicy made;
  made.interface = "higgs-node0";
  made.tunnel = {IpPrefix::parse("10.80.0.0/16").value(), IpPrefix::parse("fd12:3456::/64")};
  made.own_networks = {IpPrefix::parse("203.0.113.0/24").value()};
  made.connections_per_client = 100;
  return made;
}

std::string sysctl(const std::string& name) {
  const auto text = runtime::read_file("/proc/sys/" + name);
  return text ? *text : "none";
}

std::string sysctls() {
  std::string all;
  for (const char* name :
       {"net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding", "net/ipv4/conf/default/forwarding",
        "net/ipv4/conf/lo/forwarding", "net/ipv4/conf/veth-a/forwarding", "net/ipv4/conf/veth-b/forwarding",
        "net/ipv4/conf/all/accept_redirects", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/default/forwarding",
        "net/ipv6/conf/veth-a/forwarding", "net/ipv6/conf/veth-a/accept_ra", "net/ipv6/conf/veth-b/accept_ra"}) {
    all += std::string(name) + " " + sysctl(name);
  }
  return all;
}

std::string everything() {
  return output_of({"iptables-save"}) + "--\n" + output_of({"ip6tables-save"}) + "--\n" +
         output_of({"ip", "route", "show", "table", "all"}) + output_of({"ip", "-6", "route", "show", "table", "all"}) +
         output_of({"ip", "rule"}) + output_of({"ip", "-6", "rule"}) + sysctls();
}

/// A host with two interfaces, one that forwards on its own and one hardened against redirects.
void make_host() {
  ASSERT_TRUE(run_command({"ip", "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b"}).ok());
  ASSERT_TRUE(run_command({"ip", "link", "set", "veth-a", "up"}).ok());
  ASSERT_TRUE(run_command({"sysctl", "-qw", "net.ipv4.conf.veth-b.forwarding=1", "net.ipv4.conf.all.accept_redirects=0",
                           "net.ipv6.conf.veth-b.accept_ra=0"})
                  .ok());
}

TEST(RoutingEngine, LeavesTheHostAsItWas) {
  in_namespace([] {
    make_host();
    const TemporaryDirectory directory;
    const auto before = everything();
    auto journal = UndoJournal::open(directory.path() / "j").value();
    RoutingEngine engine(journal, "HIGGSN-T-", kTable);
    const auto applied = engine.apply(engine_policy());
    ASSERT_TRUE(applied) << applied.error().message() << engine.detail();
    EXPECT_TRUE(engine.in_force());
    EXPECT_TRUE(engine.policy().close_v4);
    EXPECT_TRUE(engine.policy().limit_connections);
    EXPECT_EQ(sysctl("net/ipv4/ip_forward"), "1\n");
    EXPECT_EQ(sysctl("net/ipv6/conf/all/forwarding"), "1\n");
    EXPECT_EQ(sysctl("net/ipv6/conf/veth-a/accept_ra"), "2\n");
    EXPECT_EQ(sysctl("net/ipv6/conf/veth-b/accept_ra"), "0\n");
    EXPECT_TRUE(engine.remove().empty());
    EXPECT_EQ(everything(), before);
    EXPECT_FALSE(std::filesystem::exists(directory.path() / "j"));
  });
}

TEST(RoutingEngine, AHostThatForwardedGoesOnForwarding) {
  in_namespace([] {
    make_host();
    ASSERT_TRUE(run_command({"sysctl", "-qw", "net.ipv4.ip_forward=1"}).ok());
    ASSERT_TRUE(run_command({"iptables", "-P", "FORWARD", "DROP"}).ok());
    ASSERT_TRUE(run_command({"iptables", "-A", "FORWARD", "-i", "veth-a", "-j", "ACCEPT"}).ok());
    const TemporaryDirectory directory;
    const auto before = everything();
    auto journal = UndoJournal::open(directory.path() / "j").value();
    RoutingEngine engine(journal, "HIGGSN-T-", kTable);
    ASSERT_TRUE(engine.apply(engine_policy()));
    EXPECT_FALSE(engine.policy().close_v4);
    EXPECT_TRUE(engine.policy().close_v6);
    EXPECT_TRUE(engine.remove().empty());
    EXPECT_EQ(everything(), before);
  });
}

TEST(RoutingEngine, WhereIpv6IsOffBySysctlItIsOnlyDenied) {
  for (const std::string where : {"all", "default"}) {
    in_namespace([&] {
      make_host();
      ASSERT_TRUE(run_command({"sysctl", "-qw", "net.ipv6.conf." + where + ".disable_ipv6=1"}).ok());
      const TemporaryDirectory directory;
      const auto before = everything();
      auto journal = UndoJournal::open(directory.path() / "j").value();
      RoutingEngine engine(journal, "HIGGSN-T-", kTable);
      const auto applied = engine.apply(engine_policy());
      ASSERT_TRUE(applied) << applied.error().message() << engine.detail();
      EXPECT_FALSE(engine.policy().ipv6) << where;
      EXPECT_EQ(sysctl("net/ipv6/conf/all/forwarding"), "0\n");
      EXPECT_NE(output_of({"ip6tables", "-S"}).find("-A HIGGSN-T-FWD -j REJECT"), std::string::npos)
          << "it may be switched on at any time";
      EXPECT_TRUE(engine.check());
      EXPECT_EQ(engine.repairs(), 0u);
      EXPECT_TRUE(engine.remove().empty());
      EXPECT_EQ(everything(), before);
    });
  }
}

TEST(RoutingEngine, ACrashAtAnyStepIsUndoneByTheNextStart) {
  in_namespace([] {
    make_host();
    const TemporaryDirectory directory;
    const auto before = everything();
    std::size_t steps = 1;
    // Every command of iptables from the first on is the one at which the process dies.
    for (int survives = 0; survives < 12; ++survives) {
      {
        auto journal = UndoJournal::open(directory.path() / "j").value();
        int left = survives;
        RoutingEngine engine(journal, "HIGGSN-T-", kTable, [&left](const auto& arguments, std::string_view input) {
          if (left-- <= 0) return tunnel::CommandResult{.exit_code = 1, .out = {}, .err = "died here"};
          return run_command(arguments, input);
        });
        (void)engine.apply(engine_policy());
        steps = journal.steps().size();
        EXPECT_EQ(engine.in_force(), engine.policy().interface == "higgs-node0" && left >= 0 && steps > 3);
      }
      auto journal = UndoJournal::open(directory.path() / "j").value();
      EXPECT_TRUE(RoutingEngine::recover(journal).empty()) << survives;
      EXPECT_EQ(everything(), before) << "died at command " << survives;
    }
    EXPECT_GT(steps, 3u) << "the last round must have got through";
  });
}

TEST(RoutingEngine, ARestartAfterACrashIsAsAFirstStart) {
  in_namespace([] {
    make_host();
    const TemporaryDirectory directory;
    const auto before = everything();
    std::string standing;
    for (int round = 0; round < 2; ++round) {
      auto journal = UndoJournal::open(directory.path() / "j").value();
      EXPECT_EQ(journal.empty(), round == 0);
      EXPECT_TRUE(RoutingEngine::recover(journal).empty());
      RoutingEngine engine(journal, "HIGGSN-T-", kTable);
      ASSERT_TRUE(engine.apply(engine_policy()));
      EXPECT_TRUE(engine.policy().close_v4) << "what the crashed run opened must not pass for the host's own wish";
      if (round == 0)
        standing = everything();
      else
        EXPECT_EQ(everything(), standing);
    }
    auto journal = UndoJournal::open(directory.path() / "j").value();
    EXPECT_TRUE(RoutingEngine::recover(journal).empty());
    EXPECT_EQ(everything(), before);
  });
}

TEST(RoutingEngine, PutsBackWhatOthersTakeAway) {
  in_namespace([] {
    make_host();
    const TemporaryDirectory directory;
    auto journal = UndoJournal::open(directory.path() / "j").value();
    RoutingEngine engine(journal, "HIGGSN-T-", kTable);
    ASSERT_TRUE(engine.apply(engine_policy()));
    EXPECT_TRUE(engine.check());
    EXPECT_EQ(engine.repairs(), 0u);
    ASSERT_TRUE(run_command({"iptables", "-F", "FORWARD"}).ok());
    ASSERT_TRUE(run_command({"sysctl", "-qw", "net.ipv4.ip_forward=0"}).ok());
    EXPECT_TRUE(engine.check());
    EXPECT_EQ(engine.repairs(), 1u);
    EXPECT_NE(output_of({"iptables", "-S", "FORWARD"}).find("-i higgs-node0 -j HIGGSN-T-FWD"), std::string::npos);
    EXPECT_EQ(sysctl("net/ipv4/ip_forward"), "1\n");
    ASSERT_TRUE(run_command({"iptables", "-I", "FORWARD", "-j", "ACCEPT"}).ok());
    EXPECT_TRUE(engine.check());
    EXPECT_EQ(engine.repairs(), 2u) << "a foreign rule before ours opens what ours close";
    EXPECT_TRUE(engine.remove().empty());
  });
}

TEST(RoutingEngine, SeesAtOnceThatRulesOrForwardingWereTouched) {
  in_namespace([] {
    make_host();
    const TemporaryDirectory directory;
    auto journal = UndoJournal::open(directory.path() / "j").value();
    RoutingEngine engine(journal, "HIGGSN-T-", kTable);
    EXPECT_FALSE(engine.untouched());
    ASSERT_TRUE(engine.apply(engine_policy()));
    // The first look tells which back end iptables has, the second one what to compare with.
    for (int look = 0; look < 2; ++look) ASSERT_TRUE(engine.check());
    if (run_command({"iptables", "--version"}).out.find("nf_tables") == std::string::npos) {
      EXPECT_FALSE(engine.untouched()) << "cannot be told without looking";
      return;
    }
    EXPECT_TRUE(engine.untouched());
    ASSERT_TRUE(run_command({"iptables", "-A", "OUTPUT", "-j", "ACCEPT"}).ok());
    EXPECT_FALSE(engine.untouched());
    ASSERT_TRUE(engine.check());
    EXPECT_EQ(engine.repairs(), 0u) << "it was none of ours";
    EXPECT_TRUE(engine.untouched());
    ASSERT_TRUE(run_command({"ip6tables", "-F"}).ok());
    EXPECT_FALSE(engine.untouched());
    ASSERT_TRUE(engine.check());
    ASSERT_TRUE(engine.check());
    ASSERT_TRUE(run_command({"sysctl", "-qw", "net.ipv4.ip_forward=0"}).ok());
    EXPECT_FALSE(engine.untouched());
    EXPECT_TRUE(engine.remove().empty());
    EXPECT_FALSE(engine.untouched());
  });
}

/// Where a client's packet to there would go.
bool has_a_way(const std::string& to, const std::string& from) {
  return run_command({"ip", "route", "get", to, "from", from, "iif", "higgs-node0"}).ok();
}

TEST(RoutingEngine, DeniedNetworksHaveNoRouteWhateverBecomesOfTheRules) {
  in_namespace([] {
    // No link-local addresses: they would come while the test looks at what has changed.
    for (const std::string command :
         {"ip link set lo up", "ip link add higgs-node0 type veth peer name inside",
          "ip link add lan type veth peer name switch",
          "for i in higgs-node0 inside lan switch; do ip link set $i addrgenmode none; done", "ip link set inside up",
          "ip link set higgs-node0 up", "ip route add 10.80.0.0/16 dev higgs-node0",
          "ip -6 route add fd12:3456::/64 dev higgs-node0", "ip link set switch up", "ip link set lan up",
          "ip addr add 203.0.113.7/24 dev lan", "ip -6 addr add 2001:db8:5::7/64 dev lan nodad",
          "ip route add default via 203.0.113.1", "ip -6 route add default via 2001:db8:5::1"})
      ASSERT_TRUE(run_command({"sh", "-c", command}).ok()) << command;
    const TemporaryDirectory directory;
    const auto before = everything();
    auto journal = UndoJournal::open(directory.path() / "j").value();
    RoutingEngine engine(journal, "HIGGSN-T-", kTable);
    auto wanted = engine_policy();
    wanted.public_addresses = {IpAddress::parse("198.51.100.77").value()};
    const auto applied = engine.apply(wanted);
    ASSERT_TRUE(applied) << applied.error().message() << engine.detail();
    ASSERT_TRUE(run_command({"iptables", "-F"}).ok());
    ASSERT_TRUE(run_command({"ip6tables", "-F"}).ok());
    for (const char* denied :
         {"203.0.113.1", "10.1.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "198.51.100.77"})
      EXPECT_FALSE(has_a_way(denied, "10.80.0.2")) << denied;
    for (const char* denied : {"fd99::1", "64:ff9b::a00:1", "2002:a00:1::1", "::ffff:10.0.0.1", "4000::1", "9000::1"})
      EXPECT_FALSE(has_a_way(denied, "fd12:3456::2")) << denied;
    EXPECT_TRUE(has_a_way("198.51.100.78", "10.80.0.2"));
    EXPECT_TRUE(has_a_way("2001:4860::1", "fd12:3456::2"));

    EXPECT_TRUE(engine.check());
    const auto repairs = engine.repairs();
    for (const std::string command : {"ip rule del iif higgs-node0 pref 64", "ip -6 rule del iif higgs-node0 pref 64",
                                      "ip route flush table 1209152598", "ip -6 route flush table 1209152598"}) {
      ASSERT_TRUE(run_command({"sh", "-c", command}).ok()) << command;
      EXPECT_FALSE(engine.routes_stand()) << command;
      EXPECT_TRUE(engine.check()) << command;
      EXPECT_TRUE(engine.routes_stand()) << command;
    }
    EXPECT_EQ(engine.repairs(), repairs + 4);

    wanted.public_addresses = {IpAddress::parse("198.51.100.78").value()};
    ASSERT_TRUE(engine.apply(wanted));
    EXPECT_TRUE(has_a_way("198.51.100.77", "10.80.0.2"));
    EXPECT_FALSE(has_a_way("198.51.100.78", "10.80.0.2"));
    EXPECT_TRUE(engine.remove().empty());
    EXPECT_EQ(everything(), before);
  });
}

TEST(RoutingEngine, AChangedNetworkChangesTheRules) {
  in_namespace([] {
    const TemporaryDirectory directory;
    auto journal = UndoJournal::open(directory.path() / "j").value();
    RoutingEngine engine(journal, "HIGGSN-T-", kTable);
    ASSERT_TRUE(engine.apply(engine_policy()));
    auto changed = engine_policy();
    changed.own_networks = {IpPrefix::parse("198.51.100.0/24").value()};
    ASSERT_TRUE(engine.apply(changed));
    const auto rules = output_of({"iptables", "-S", "HIGGSN-T-FWD"});
    EXPECT_NE(rules.find("-d 198.51.100.0/24 -j REJECT"), rules.npos);
    EXPECT_EQ(rules.find("203.0.113.0/24"), rules.npos);
    EXPECT_TRUE(engine.remove().empty());
  });
}

TEST(RoutingEngine, FailsClosedWhenTheKernelTakesNoRule) {
  const TemporaryDirectory directory;
  auto journal = UndoJournal::open(directory.path() / "j").value();
  RoutingEngine engine(journal, "HIGGSN-T-", kTable, [](const auto&, std::string_view) {
    return tunnel::CommandResult{.exit_code = 1, .out = {}, .err = "no"};
  });
  EXPECT_FALSE(engine.apply(engine_policy()));
  EXPECT_FALSE(engine.in_force());
}

TEST(RoutingEngine, DoesWithoutACapWhereTheKernelCannotCount) {
  in_namespace([] {
    const TemporaryDirectory directory;
    auto journal = UndoJournal::open(directory.path() / "j").value();
    RoutingEngine engine(journal, "HIGGSN-T-", kTable, [](const auto& arguments, std::string_view input) {
      if (input.find("connlimit") != input.npos)
        return tunnel::CommandResult{.exit_code = 2, .out = {}, .err = "what?"};
      return run_command(arguments, input);
    });
    ASSERT_TRUE(engine.apply(engine_policy()));
    EXPECT_FALSE(engine.policy().limit_connections);
    EXPECT_TRUE(engine.policy().ipv6);
    EXPECT_TRUE(engine.remove().empty());
  });
}

}  // namespace
}  // namespace higgs::node
