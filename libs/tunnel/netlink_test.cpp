#include "tunnel/netlink.h"

#include <gtest/gtest.h>

#include "tunnel/testing/fresh_network.h"

namespace higgs::tunnel {
namespace {

namespace errc = boost::system::errc;

IpPrefix prefix(const char* text) { return *IpPrefix::parse(text); }

void with_netlink(const std::function<void(Netlink&)>& body) {
  const bool ran = testing::in_fresh_network([&] {
    auto netlink = Netlink::open();
    ASSERT_TRUE(netlink);
    body(*netlink);
  });
  if (!ran) FAIL() << "needs root, or a user namespace with a network";
}

TEST(Netlink, LinksGoUpAndDownAndChangeTheirMtu) {
  with_netlink([](Netlink& netlink) {
    ASSERT_TRUE(netlink.link("lo"));
    EXPECT_FALSE(netlink.link("lo")->up);
    EXPECT_TRUE(netlink.set_up("lo", true));
    EXPECT_TRUE(netlink.set_mtu("lo", 1400));
    EXPECT_TRUE(netlink.set_gso_limits("lo", 45, 65535));
    EXPECT_TRUE(netlink.set_tx_queue_length("lo", 64));
    const auto link = netlink.link("lo");
    ASSERT_TRUE(link);
    EXPECT_TRUE(link->up);
    EXPECT_EQ(link->mtu, 1400u);
    EXPECT_TRUE(netlink.set_up("lo", false));
    EXPECT_FALSE(netlink.link("lo")->up);
  });
}

TEST(Netlink, UnknownLinkIsAnError) {
  with_netlink([](Netlink& netlink) {
    EXPECT_EQ(netlink.link("nosuch").error(), errc::no_such_device);
    EXPECT_EQ(netlink.set_up("nosuch", true).error(), errc::no_such_device);
    EXPECT_EQ(netlink.remove_link("a-name-far-longer-than-any-interface").error(), errc::no_such_device);
    EXPECT_EQ(netlink.add_address("nosuch", *IpAddress::parse("10.1.1.1"), 32).error(), errc::no_such_device);
  });
}

TEST(Netlink, AddressesAreAddedOnceAndRemoved) {
  with_netlink([](Netlink& netlink) {
    ASSERT_TRUE(netlink.set_up("lo", true));
    for (const char* text : {"10.7.0.1", "fd00:7::1"}) {
      const IpAddress address = *IpAddress::parse(text);
      const unsigned length = address.is_v4() ? 24 : 64;
      ASSERT_TRUE(netlink.add_address("lo", address, length)) << text;
      EXPECT_EQ(netlink.add_address("lo", address, length).error(), errc::file_exists);
      const auto all = netlink.addresses();
      ASSERT_TRUE(all);
      const InterfaceAddress expected{"lo", address, length};
      EXPECT_EQ(std::count(all->begin(), all->end(), expected), 1) << text;
      EXPECT_TRUE(netlink.remove_address("lo", address, length));
      EXPECT_EQ(netlink.remove_address("lo", address, length).error(), errc::address_not_available);
    }
    EXPECT_EQ(netlink.add_address("lo", *IpAddress::parse("10.7.0.1"), 33).error(), errc::invalid_argument);
  });
}

TEST(Netlink, RoutesInATableOfTheirOwn) {
  with_netlink([](Netlink& netlink) {
    ASSERT_TRUE(netlink.set_up("lo", true));
    const Route v4{.prefix = prefix("0.0.0.0/0"), .ifname = "lo", .gateway = {}, .metric = {}, .table = 51820};
    const Route v6{.prefix = prefix("fd01::/16"), .ifname = "lo", .gateway = {}, .metric = 77, .table = 51820};
    const Route hole{.prefix = prefix("192.0.2.0/24"),
                     .ifname = {},
                     .gateway = {},
                     .metric = {},
                     .table = 51820,
                     .kind = RouteKind::kBlackhole};
    for (const Route& route : {v4, v6, hole}) {
      ASSERT_TRUE(netlink.add_route(route));
      EXPECT_EQ(netlink.add_route(route).error(), errc::file_exists);
    }
    auto found = netlink.routes(IpFamily::kV4);
    ASSERT_TRUE(found);
    EXPECT_EQ(std::count(found->begin(), found->end(), v4), 1);
    EXPECT_EQ(std::count(found->begin(), found->end(), hole), 1);
    found = netlink.routes(IpFamily::kV6);
    ASSERT_TRUE(found);
    EXPECT_EQ(std::count(found->begin(), found->end(), v6), 1);

    EXPECT_TRUE(netlink.remove_route(hole));
    EXPECT_EQ(netlink.remove_route(hole).error(), errc::no_such_process);
    EXPECT_EQ(netlink.flush_table(IpFamily::kV4, 51820).value(), 1u);
    EXPECT_EQ(netlink.flush_table(IpFamily::kV6, 51820).value(), 1u);
    EXPECT_EQ(netlink.flush_table(IpFamily::kV6, 51820).value(), 0u);
  });
}

TEST(Netlink, DefaultRoutesComeBestFirst) {
  with_netlink([](Netlink& netlink) {
    ASSERT_TRUE(netlink.set_up("lo", true));
    ASSERT_TRUE(netlink.add_address("lo", *IpAddress::parse("10.7.0.1"), 24));
    for (const std::uint32_t metric : {600u, 100u})
      ASSERT_TRUE(netlink.add_route({.prefix = prefix("0.0.0.0/0"),
                                     .ifname = "lo",
                                     .gateway = IpAddress::parse("10.7.0.254"),
                                     .metric = metric}));
    const auto found = netlink.default_routes(IpFamily::kV4);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), 2u);
    EXPECT_EQ(found->front().metric, 100u);
    EXPECT_EQ(found->front().gateway, IpAddress::parse("10.7.0.254"));
    EXPECT_TRUE(netlink.default_routes(IpFamily::kV6)->empty());
  });
}

TEST(Netlink, RulesAsWgQuickMakesThem) {
  with_netlink([](Netlink& netlink) {
    for (const IpFamily family : {IpFamily::kV4, IpFamily::kV6}) {
      const auto before = netlink.rules(family);
      ASSERT_TRUE(before);
      const Rule mark{.family = family,
                      .fwmark = 0xca6c,
                      .invert = true,
                      .table = 51820,
                      .suppress_prefixlength = {},
                      .priority = 32764};
      const Rule suppress{.family = family,
                          .fwmark = {},
                          .invert = false,
                          .table = kMainTable,
                          .suppress_prefixlength = 0,
                          .priority = 32763};
      for (const Rule& rule : {mark, suppress}) {
        ASSERT_TRUE(netlink.add_rule(rule));
        EXPECT_EQ(netlink.add_rule(rule).error(), errc::file_exists);
        const auto all = netlink.rules(family);
        ASSERT_TRUE(all);
        EXPECT_EQ(std::count(all->begin(), all->end(), rule), 1);
      }
      Rule any_priority = suppress;
      any_priority.priority.reset();
      EXPECT_TRUE(netlink.remove_rule(any_priority));
      EXPECT_EQ(netlink.remove_rule(any_priority).error(), errc::no_such_file_or_directory);
      EXPECT_TRUE(netlink.remove_rule(mark));
      EXPECT_EQ(netlink.rules(family).value(), before.value());  // the system's own are all there
    }
  });
}

TEST(Netlink, RemovingARuleLeavesForeignOnesThatLookAlike) {
  with_netlink([](Netlink& netlink) {
    const Rule near{.family = IpFamily::kV4,
                    .fwmark = 5,
                    .invert = true,
                    .table = 51820,
                    .suppress_prefixlength = {},
                    .priority = 100};
    ASSERT_TRUE(netlink.add_rule(near));
    Rule wanted = near;
    wanted.invert = false;
    wanted.priority.reset();
    EXPECT_FALSE(netlink.remove_rule(wanted));
    EXPECT_EQ(netlink.rules(IpFamily::kV4)->size(), 4u);  // and local, main, default
  });
}

}  // namespace
}  // namespace higgs::tunnel
