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

void in_namespace(const std::function<void()>& body) {
  if (in_own_network(body)) return;
  if (::geteuid() == 0) FAIL() << "root could not make a network namespace";
  GTEST_SKIP() << "needs root";
}

EgressPolicy policy() {
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
  return output_of({"iptables-save"}) + "--\n" + output_of({"ip6tables-save"}) + "--\n" + output_of({"ip", "route"}) +
         output_of({"ip", "rule"}) + sysctls();
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
    RoutingEngine engine(journal, "HIGGSN-T-");
    const auto applied = engine.apply(policy());
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
    RoutingEngine engine(journal, "HIGGSN-T-");
    ASSERT_TRUE(engine.apply(policy()));
    EXPECT_FALSE(engine.policy().close_v4);
    EXPECT_TRUE(engine.policy().close_v6);
    EXPECT_TRUE(engine.remove().empty());
    EXPECT_EQ(everything(), before);
  });
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
        RoutingEngine engine(journal, "HIGGSN-T-", [&left](const auto& arguments, std::string_view input) {
          if (left-- <= 0) return tunnel::CommandResult{.exit_code = 1, .out = {}, .err = "died here"};
          return run_command(arguments, input);
        });
        (void)engine.apply(policy());
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
      RoutingEngine engine(journal, "HIGGSN-T-");
      ASSERT_TRUE(engine.apply(policy()));
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
    RoutingEngine engine(journal, "HIGGSN-T-");
    ASSERT_TRUE(engine.apply(policy()));
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

TEST(RoutingEngine, AChangedNetworkChangesTheRules) {
  in_namespace([] {
    const TemporaryDirectory directory;
    auto journal = UndoJournal::open(directory.path() / "j").value();
    RoutingEngine engine(journal, "HIGGSN-T-");
    ASSERT_TRUE(engine.apply(policy()));
    auto changed = policy();
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
  RoutingEngine engine(journal, "HIGGSN-T-", [](const auto&, std::string_view) {
    return tunnel::CommandResult{.exit_code = 1, .out = {}, .err = "no"};
  });
  EXPECT_FALSE(engine.apply(policy()));
  EXPECT_FALSE(engine.in_force());
}

TEST(RoutingEngine, DoesWithoutACapWhereTheKernelCannotCount) {
  in_namespace([] {
    const TemporaryDirectory directory;
    auto journal = UndoJournal::open(directory.path() / "j").value();
    RoutingEngine engine(journal, "HIGGSN-T-", [](const auto& arguments, std::string_view input) {
      if (input.find("connlimit") != input.npos)
        return tunnel::CommandResult{.exit_code = 2, .out = {}, .err = "what?"};
      return run_command(arguments, input);
    });
    ASSERT_TRUE(engine.apply(policy()));
    EXPECT_FALSE(engine.policy().limit_connections);
    EXPECT_TRUE(engine.policy().ipv6);
    EXPECT_TRUE(engine.remove().empty());
  });
}

}  // namespace
}  // namespace higgs::node
