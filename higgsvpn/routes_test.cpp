#include "higgsvpn/routes.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "higgsvpn/marks.h"
#include "higgsvpn/testing/interfaces.h"
#include "tunnel/testing/own_network.h"

namespace higgs::vpn {
namespace {

using testing::make_interfaces;
using tunnel::run_command;
using tunnel::testing::in_own_network;
using tunnel::testing::output_of;

class RoutesTest : public ::testing::Test {
 protected:
  RoutesTest() {
    std::string pattern = ::testing::TempDir() + "higgs-routes-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~RoutesTest() override { std::filesystem::remove_all(directory_); }
  static std::string everything() {
    std::string text;
    for (const char* family : {"-4", "-6"}) {
      text += output_of({"ip", family, "rule"}) + output_of({"ip", family, "route", "show", "table", "all"});
    }
    return text + output_of({"cat", "/proc/sys/net/ipv4/conf/all/src_valid_mark"});
  }
  static std::string way_to(const std::string& address, std::uint32_t mark) {
    const std::string out = output_of({"ip", "route", "get", address, "mark", std::to_string(mark)});
    const std::size_t dev = out.find(" dev ");
    return dev == std::string::npos ? out : out.substr(dev + 5, out.find(' ', dev + 5) - dev - 5);
  }
  std::filesystem::path directory_;
};

TEST_F(RoutesTest, EverythingButOurOwnGoesThroughTheTunnel) {
  if (!in_own_network([&] {
        make_interfaces();
        const std::string before = everything();
        auto netlink = tunnel::Netlink::open().value();
        auto journal = tunnel::UndoJournal::open(directory_ / "journal").value();
        Routes routes(netlink, journal);
        const auto applied = routes.apply("higgs0");
        ASSERT_TRUE(applied) << applied.error().message();
        for (const char* address : {"198.51.100.1", "2001:db8:5::1"}) {
          EXPECT_EQ(way_to(address, 0), "higgs0") << address;
          EXPECT_EQ(way_to(address, kFirewallMark), "eth0") << address;
        }
        EXPECT_EQ(way_to("192.168.7.9", 0), "eth0") << "the local network stays where it is";
        ASSERT_TRUE(routes.apply("higgs1")) << "a new session moves them";
        EXPECT_EQ(way_to("198.51.100.1", 0), "higgs1");
        EXPECT_EQ(way_to("2001:db8:5::1", 0), "higgs1");

        // As after SIGKILL: the journal is read by another process, the interface is gone.
        ASSERT_TRUE(run_command({"ip", "link", "del", "higgs1"}).ok());
        auto later = tunnel::UndoJournal::open(directory_ / "journal").value();
        EXPECT_TRUE(later.undo(Routes::undo_handlers()).empty());
        ASSERT_TRUE(run_command({"ip", "link", "add", "higgs1", "type", "veth", "peer", "name", "higgs1-far"}).ok());
        ASSERT_TRUE(run_command({"ip", "link", "set", "higgs1", "up"}).ok());
        EXPECT_EQ(output_of({"ip", "rule"}),
                  "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n");
        EXPECT_EQ(way_to("198.51.100.1", 0), "eth0");
        EXPECT_EQ(way_to("2001:db8:5::1", 0), "eth0");
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(RoutesTest, WhereIpv6IsOffItLeadsNowhere) {
  if (!in_own_network([&] {
        make_interfaces();
        testing::command({"sysctl", "-q", "-w", "net.ipv6.conf.higgs0.disable_ipv6=1"});
        const std::string before = everything();
        auto netlink = tunnel::Netlink::open().value();
        auto journal = tunnel::UndoJournal::open(directory_ / "journal").value();
        Routes routes(netlink, journal);
        const auto applied = routes.apply("higgs0");
        ASSERT_TRUE(applied) << applied.error().message();
        EXPECT_EQ(way_to("198.51.100.1", 0), "higgs0");
        EXPECT_EQ(way_to("2001:db8:5::1", 0), "") << "nor by the interfaces that have IPv6";
        EXPECT_EQ(way_to("2001:db8:5::1", kFirewallMark), "eth0");
        EXPECT_TRUE(journal.undo(Routes::undo_handlers()).empty());
        EXPECT_EQ(everything(), before);

        testing::command({"sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1"});
        const std::string without = everything();
        ASSERT_TRUE(routes.apply("higgs0"));
        EXPECT_EQ(way_to("198.51.100.1", 0), "higgs0");
        EXPECT_TRUE(journal.undo(Routes::undo_handlers()).empty());
        EXPECT_EQ(everything(), without);
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(RoutesTest, AfterwardsEverythingIsAsBefore) {
  if (!in_own_network([&] {
        make_interfaces();
        ASSERT_TRUE(run_command({"ip", "rule", "add", "not", "fwmark", "7", "table", "77"}).ok());
        const std::string before = everything();
        auto netlink = tunnel::Netlink::open().value();
        auto journal = tunnel::UndoJournal::open(directory_ / "journal").value();
        ASSERT_TRUE(Routes(netlink, journal).apply("higgs0"));
        EXPECT_NE(everything(), before);
        EXPECT_TRUE(journal.undo(Routes::undo_handlers()).empty());
        EXPECT_EQ(everything(), before);
        // A crash right after the record, before anything was done.
        ASSERT_TRUE(journal.record({"vpn-routes", {}}));
        EXPECT_TRUE(journal.undo(Routes::undo_handlers()).empty());
        EXPECT_EQ(everything(), before);
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST_F(RoutesTest, ForeignRoutesInOurTableAreNotTouched) {
  if (!in_own_network([&] {
        make_interfaces();
        ASSERT_TRUE(
            run_command({"ip", "route", "add", "10.9.0.0/16", "dev", "eth0", "table", std::to_string(kRoutingTable)})
                .ok());
        auto netlink = tunnel::Netlink::open().value();
        auto journal = tunnel::UndoJournal::open(directory_ / "journal").value();
        EXPECT_EQ(Routes(netlink, journal).apply("higgs0").error(), RoutesError::kTableInUse);
        EXPECT_TRUE(journal.empty());
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

}  // namespace
}  // namespace higgs::vpn
