#include "higgsvpn/local_network.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "higgsvpn/testing/interfaces.h"
#include "tunnel/testing/own_network.h"

namespace higgs::vpn {
namespace {

namespace fs = std::filesystem;
using testing::make_interfaces;
using tunnel::run_command;
using tunnel::testing::in_own_network;
using tunnel::testing::output_of;

constexpr const char* kResolvConf = "nameserver 192.168.7.1\n";

class LocalNetworkTest : public ::testing::Test {
 protected:
  LocalNetworkTest() {
    std::string pattern = ::testing::TempDir() + "higgs-local-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    fs::create_directory(directory_ / "state");
    std::ofstream(directory_ / "resolv.conf") << kResolvConf;
  }
  ~LocalNetworkTest() override { fs::remove_all(directory_); }

  StateDirectory state() const { return StateDirectory(directory_ / "state"); }
  DnsEnvironment dns() const {
    DnsEnvironment environment;
    environment.resolv_conf = directory_ / "resolv.conf";
    return environment;
  }
  LocalNetwork open() const { return LocalNetwork::open(state(), dns()).value(); }
  static TunnelAddresses tunnel() {
    return {"higgs0", {*IpAddress::parse("10.7.0.2")}, {*IpAddress::parse("9.9.9.9")}};
  }

  static std::string routing() {
    std::string text;
    for (const char* family : {"-4", "-6"}) {
      text += output_of({"ip", family, "rule"}) + output_of({"ip", family, "route", "show", "table", "all"});
    }
    return text;
  }
  std::string everything() const {
    std::string text = routing();
    for (const std::vector<std::string>& command : {std::vector<std::string>{"iptables-save"},
                                                    {"ip6tables-save"},
                                                    {"nft", "list", "ruleset"},
                                                    {"cat", "/proc/sys/net/ipv4/conf/all/src_valid_mark"},
                                                    {"cat", (directory_ / "resolv.conf").string()}}) {
      text += output_of(command);
    }
    return text;
  }
  static bool is_closed() { return run_command({"iptables", "-C", "HIGGSVPN-OUT", "-j", "DROP"}).ok(); }
  std::size_t journal_lines() const {
    std::ifstream file(state().journal(), std::ios::binary);
    return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
  }

  fs::path directory_;
};

TEST_F(LocalNetworkTest, UpAndDownLeavesNothing) {
  if (!in_own_network([&] {
        make_interfaces();
        const std::string before = everything();
        LocalNetwork network = open();
        EXPECT_FALSE(network.has_leftovers());
        ASSERT_TRUE(network.close(true, false));
        EXPECT_TRUE(is_closed());
        const auto led = network.lead_into(tunnel());
        ASSERT_TRUE(led) << led.error().message;
        EXPECT_EQ(network.mend(), std::nullopt);
        std::ofstream(directory_ / "resolv.conf") << "nameserver 10.0.0.1\n";
        ASSERT_TRUE(run_command({"iptables", "-I", "OUTPUT", "1", "-j", "ACCEPT"}).ok());
        EXPECT_NE(network.mend(), std::nullopt);
        EXPECT_EQ(network.mend(), std::nullopt) << "mended";
        ASSERT_TRUE(run_command({"iptables", "-D", "OUTPUT", "-j", "ACCEPT"}).ok());
        ASSERT_TRUE(network.restore());
        std::ofstream(directory_ / "resolv.conf") << kResolvConf;
        EXPECT_EQ(everything(), before);
        EXPECT_FALSE(fs::exists(state().journal()));
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(LocalNetworkTest, WhatIsFlushedBeforeThereIsATunnelIsPutBack) {
  if (!in_own_network([&] {
        make_interfaces();
        LocalNetwork network = open();
        EXPECT_EQ(network.mend(), std::nullopt) << "nothing of ours stands yet";
        ASSERT_TRUE(network.close(true, false));
        for (const char* program : {"iptables", "ip6tables"}) {
          ASSERT_TRUE(run_command({program, "-F"}).ok());
          EXPECT_NE(network.mend(), std::nullopt);
          EXPECT_TRUE(run_command({program, "-C", "HIGGSVPN-OUT", "-j", "DROP"}).ok());
          EXPECT_TRUE(run_command({program, "-C", "OUTPUT", "-j", "HIGGSVPN-OUT"}).ok());
          EXPECT_EQ(network.mend(), std::nullopt) << "mended";
        }
        ASSERT_TRUE(network.restore());
        EXPECT_EQ(network.mend(), std::nullopt) << "what was given back stays so";
        EXPECT_FALSE(is_closed());
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(LocalNetworkTest, RoutesAndPolicyRulesArePutBack) {
  if (!in_own_network([&] {
        make_interfaces();
        const std::string before = everything();
        LocalNetwork network = open();
        ASSERT_TRUE(network.close(true, false));
        ASSERT_TRUE(network.lead_into(tunnel()));
        const std::string up = routing();
        const std::vector<std::vector<std::string>> disturbances{
            {"ip", "rule", "del", "pref", "4849"},
            {"ip", "rule", "del", "pref", "4850"},
            {"ip", "-6", "rule", "del", "pref", "4849"},
            {"ip", "-6", "rule", "del", "pref", "4850"},
            {"ip", "route", "flush", "table", "18505"},
            {"ip", "-6", "route", "flush", "table", "18505"},
            {"ip", "route", "replace", "default", "via", "192.168.7.1", "table", "18505"},
            {"ip", "route", "add", "198.51.100.0/24", "via", "192.168.7.1", "table", "18505"},
        };
        for (const auto& disturbance : disturbances) {
          ASSERT_TRUE(run_command(disturbance).ok()) << disturbance.at(2);
          EXPECT_NE(routing(), up);
          EXPECT_NE(network.mend(), std::nullopt) << disturbance.at(1) << " " << disturbance.at(2);
          EXPECT_EQ(routing(), up);
          EXPECT_EQ(network.mend(), std::nullopt) << "mended";
        }
        ASSERT_TRUE(network.restore());
        EXPECT_EQ(everything(), before);
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(LocalNetworkTest, KilledAfterEachJournalStep) {
  if (!in_own_network([&] {
        make_interfaces();
        const std::string before = everything();
        bool reached_the_end = false;
        for (std::size_t step = 1; !reached_the_end; ++step) {
          ASSERT_LT(step, 50u);
          const pid_t child = ::fork();
          if (child == 0) {
            LocalNetwork network = open();
            const bool done = network.close(true, false) && network.lead_into(tunnel());
            ::_exit(done ? 0 : 1);
          }
          // Killed while it makes the change that it has just put on record.
          int status = 0;
          while (journal_lines() < step && ::waitpid(child, &status, WNOHANG) == 0) {
          }
          ::kill(child, SIGKILL);
          if (::waitpid(child, &status, 0) > 0 && WIFEXITED(status)) {
            ASSERT_EQ(WEXITSTATUS(status), 0);
          }
          reached_the_end = journal_lines() < step;

          LocalNetwork recovering = open();
          EXPECT_TRUE(recovering.has_leftovers());
          const bool was_closed = is_closed();
          const auto recovered = recovering.recover();
          EXPECT_TRUE(recovered) << recovered.error().message;
          EXPECT_EQ(is_closed(), was_closed) << "recovering opens no gap";
          const auto restored = recovering.restore();
          EXPECT_TRUE(restored) << restored.error().message;
          EXPECT_EQ(everything(), before) << "killed after step " << step;
        }
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(LocalNetworkTest, NextConnectTakesTheClosedKillSwitchOver) {
  if (!in_own_network([&] {
        make_interfaces();
        const std::string before = everything();
        {
          LocalNetwork killed = open();
          ASSERT_TRUE(killed.close(true, false));
          ASSERT_TRUE(killed.lead_into(tunnel()));
        }
        LocalNetwork next = open();
        EXPECT_TRUE(next.kill_switch_left());
        ASSERT_TRUE(next.recover());
        EXPECT_TRUE(is_closed());
        EXPECT_EQ(output_of({"cat", (directory_ / "resolv.conf").string()}), kResolvConf);
        ASSERT_TRUE(next.close(true, false));
        EXPECT_TRUE(is_closed());
        EXPECT_FALSE(run_command({"iptables", "-C", "HIGGSVPN-OUT", "-o", "higgs0", "-j", "RETURN"}).ok())
            << "the old tunnel's name is not let through any more";
        ASSERT_TRUE(next.lead_into(tunnel()));
        ASSERT_TRUE(next.restore());
        EXPECT_EQ(everything(), before);
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

}  // namespace
}  // namespace higgs::vpn
