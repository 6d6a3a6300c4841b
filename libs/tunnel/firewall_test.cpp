#include "tunnel/firewall.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "tunnel/testing/own_network.h"

namespace higgs::tunnel {
namespace {

using testing::in_own_network;
using testing::output_of;

class FirewallTest : public ::testing::Test {
 protected:
  FirewallTest() {
    std::string pattern = ::testing::TempDir() + "higgs-firewall-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~FirewallTest() override { std::filesystem::remove_all(directory_); }
  UndoJournal journal() { return UndoJournal::open(directory_ / "journal").value(); }

  static FirewallPlan plan() {
    FirewallPlan plan{"HG-T-", {}, {}};
    for (FirewallRules* rules : {&plan.v4, &plan.v6}) {
      rules->chains = {{"filter", "HG-T-OUT", {"-o lo -j RETURN", "-m mark --mark 0x1 -j RETURN", "-j DROP"}},
                       {"mangle", "HG-T-PRE", {"-m connmark --mark 0x1 -j CONNMARK --restore-mark"}}};
      rules->jumps = {{"filter", "OUTPUT", "-j HG-T-OUT"}, {"mangle", "PREROUTING", "-j HG-T-PRE"}};
    }
    return plan;
  }
  static std::string everything() {
    return output_of({"iptables-save"}) + "--\n" + output_of({"ip6tables-save"}) + "--\n" +
           output_of({"nft", "list", "ruleset"});
  }

  std::filesystem::path directory_;
};

TEST_F(FirewallTest, LeavesAnUntouchedMachineUntouched) {
  if (!in_own_network([&] {
        const std::string before = everything();
        UndoJournal undo = journal();
        Firewall firewall;
        const auto applied = firewall.apply(plan(), undo);
        ASSERT_TRUE(applied) << applied.error().message() << firewall.detail();
        EXPECT_TRUE(firewall.verify());
        EXPECT_TRUE(firewall.stands("HG-T-").value());
        EXPECT_NE(everything(), before);
        EXPECT_TRUE(undo.undo({{std::string(Firewall::kUndoKind), Firewall::undo_handler()}}).empty());
        EXPECT_TRUE(undo.empty());
        EXPECT_EQ(everything(), before) << "tables that iptables made for us must go too";
        EXPECT_FALSE(firewall.verify());
        EXPECT_FALSE(firewall.stands("HG-T-").value());
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(FirewallTest, ForeignRulesStay) {
  if (!in_own_network([&] {
        ASSERT_TRUE(run_command({"iptables", "-A", "OUTPUT", "-p", "tcp", "-j", "ACCEPT"}).ok());
        ASSERT_TRUE(run_command({"iptables", "-P", "FORWARD", "DROP"}).ok());
        ASSERT_TRUE(run_command({"iptables", "-N", "HG-OTHER"}).ok());
        ASSERT_TRUE(run_command({"ip6tables", "-t", "nat", "-A", "OUTPUT", "-j", "ACCEPT"}).ok());
        const std::string before = everything();
        UndoJournal undo = journal();
        ASSERT_TRUE(Firewall().apply(plan(), undo));
        EXPECT_EQ(output_of({"iptables", "-S", "OUTPUT"}),
                  "-P OUTPUT ACCEPT\n-A OUTPUT -j HG-T-OUT\n-A OUTPUT -p tcp -j ACCEPT\n");
        // Somebody uses a table that we made: it must not go with us.
        ASSERT_TRUE(run_command({"iptables", "-t", "mangle", "-A", "INPUT", "-j", "ACCEPT"}).ok());
        EXPECT_TRUE(undo.undo({{std::string(Firewall::kUndoKind), Firewall::undo_handler()}}).empty());
        EXPECT_EQ(output_of({"iptables", "-t", "mangle", "-S", "INPUT"}), "-P INPUT ACCEPT\n-A INPUT -j ACCEPT\n");
        ASSERT_TRUE(run_command({"nft", "delete", "table", "ip", "mangle"}).ok());
        EXPECT_EQ(everything(), before);
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(FirewallTest, ReplacesWithoutAGapAndFindsLeftovers) {
  if (!in_own_network([&] {
        const std::string before = everything();
        {
          UndoJournal undo = journal();
          ASSERT_TRUE(Firewall().apply(plan(), undo));
        }  // as after a crash
        UndoJournal undo = journal();
        ASSERT_EQ(undo.steps().size(), 1u);
        FirewallPlan smaller = plan();
        smaller.v4.chains[0].rules = {"-j DROP"};
        smaller.v6 = {};
        Firewall firewall;
        ASSERT_TRUE(firewall.apply(smaller, undo)) << firewall.detail();
        EXPECT_EQ(undo.steps().size(), 1u);
        EXPECT_EQ(output_of({"iptables", "-S", "OUTPUT"}), "-P OUTPUT ACCEPT\n-A OUTPUT -j HG-T-OUT\n");
        EXPECT_EQ(output_of({"iptables", "-S", "HG-T-OUT"}), "-N HG-T-OUT\n-A HG-T-OUT -j DROP\n");
        EXPECT_EQ(output_of({"ip6tables", "-S", "OUTPUT"}), "-P OUTPUT ACCEPT\n");
        EXPECT_TRUE(undo.undo({{std::string(Firewall::kUndoKind), Firewall::undo_handler()}}).empty());
        EXPECT_EQ(everything(), before);
        EXPECT_TRUE(Firewall().remove("HG-T-")) << "nothing there is no failure";
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(FirewallTest, FailureOfIpv6TakesIpv4Back) {
  if (!in_own_network([&] {
        UndoJournal undo = journal();
        const std::string before = everything();
        FirewallPlan broken = plan();
        broken.v6.chains[0].rules = {"-d 10.0.0.1 -j DROP"};
        Firewall firewall;
        EXPECT_EQ(firewall.apply(broken, undo).error(), FirewallError::kRefused);
        EXPECT_NE(firewall.detail(), "");
        EXPECT_EQ(output_of({"iptables-save"}), "");
        EXPECT_TRUE(undo.undo({{std::string(Firewall::kUndoKind), Firewall::undo_handler()}}).empty());
        EXPECT_EQ(everything(), before);

        // Where a plan stood already, it stands again.
        ASSERT_TRUE(firewall.apply(plan(), undo));
        const std::string standing = everything();
        broken.v4.chains[0].rules = {"-j ACCEPT"};
        EXPECT_FALSE(firewall.apply(broken, undo));
        EXPECT_EQ(everything(), standing);
        EXPECT_TRUE(firewall.verify());
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(FirewallTest, VerifyNoticesInterference) {
  if (!in_own_network([&] {
        UndoJournal undo = journal();
        Firewall firewall;
        ASSERT_TRUE(firewall.apply(plan(), undo));
        ASSERT_TRUE(run_command({"iptables", "-I", "OUTPUT", "1", "-j", "ACCEPT"}).ok());
        EXPECT_EQ(firewall.verify().error(), FirewallError::kDisturbed) << "a rule before ours defeats it";
        ASSERT_TRUE(firewall.apply(plan(), undo));
        EXPECT_TRUE(firewall.verify());
        ASSERT_TRUE(run_command({"ip6tables", "-D", "HG-T-OUT", "3"}).ok());
        EXPECT_FALSE(firewall.verify());
        ASSERT_TRUE(firewall.apply(plan(), undo));
        ASSERT_TRUE(run_command({"iptables", "-F", "OUTPUT"}).ok());
        EXPECT_FALSE(firewall.verify());
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(FirewallTest, ErrorsAreToldApart) {
  UndoJournal undo = journal();
  const auto failing = [&](bool found, bool timed_out, const char* says) {
    CommandResult result;
    result.found = found;
    result.timed_out = timed_out;
    result.exit_code = 4;
    result.err = says;
    Firewall firewall([=](const auto&, std::string_view) { return result; });
    return firewall.apply(plan(), undo).error();
  };
  EXPECT_EQ(failing(false, false, ""), FirewallError::kMissing);
  EXPECT_EQ(failing(true, false, "Fatal: can't open lock file: Permission denied"), FirewallError::kNotPermitted);
  EXPECT_EQ(failing(true, true, ""), FirewallError::kTimedOut);
  EXPECT_EQ(failing(true, false, "line 3 failed"), FirewallError::kRefused);
  FirewallPlan bad = plan();
  bad.v4.chains[0].rules = {"-j DROP\nCOMMIT"};
  EXPECT_EQ(Firewall().apply(bad, undo).error(), FirewallError::kBadPlan);
  EXPECT_TRUE(undo.empty()) << "nothing was changed, so nothing is to be undone";
}

}  // namespace
}  // namespace higgs::tunnel
