#include "tunnel/network_monitor.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "runtime/task_group.h"
#include "tunnel/testing/fresh_network.h"
#include "tunnel/tun_device.h"

namespace higgs::tunnel {
namespace {

using namespace std::chrono_literals;

IpAddress ip(const char* text) { return *IpAddress::parse(text); }
IpPrefix network_of(const char* text) { return *IpPrefix::parse(text); }

/// A host with one interface, net0 at 10.5.0.2/24, and a default route.
class Host {
 public:
  Host() : netlink_(std::move(*Netlink::open())), tasks_(context_.get_executor()) {
    auto tun = TunDevice::open({"net0", false, false});
    EXPECT_TRUE(tun) << tun.error().message();
    if (!tun) return;
    interface_.emplace(std::move(*tun));
    EXPECT_TRUE(netlink_.set_up("net0", true));
    EXPECT_TRUE(netlink_.add_address("net0", ip("10.5.0.2"), 24));
    EXPECT_TRUE(netlink_.add_route(default_route("10.5.0.1")));
  }
  ~Host() {
    tasks_.cancel();
    until([&] { return tasks_.size() == 0; });
  }
  static Route default_route(const char* gateway) {
    return {.prefix = network_of("0.0.0.0/0"), .ifname = "net0", .gateway = ip(gateway), .metric = {}};
  }
  void watch() {
    auto opened = NetworkMonitor::open(context_.get_executor(), {1ms, 1ms});
    ASSERT_TRUE(opened);
    monitor_.emplace(std::move(*opened));
    tasks_.spawn("monitor", monitor_->run([] { return std::vector<std::string>{"tunnel0"}; },
                                          [this](const HostNetwork& network, bool moved) {
                                            told_.push_back({network, moved});
                                          }));
    ASSERT_TRUE(until([&] { return told_.size() == 1; }));
    EXPECT_FALSE(told_[0].moved);
    EXPECT_EQ(told_[0].network.addresses, std::vector{ip("10.5.0.2")});
  }
  template <class Condition>
  bool until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < end) context_.run_one_for(100ms);
    return condition();
  }
  struct Told {
    HostNetwork network;
    bool moved = false;
  };

  Netlink netlink_;
  std::optional<TunDevice> interface_;
  boost::asio::io_context context_;
  runtime::TaskGroup tasks_;
  std::optional<NetworkMonitor> monitor_;
  std::vector<Told> told_;
};

void on_host(const std::function<void(Host&)>& body) {
  const bool ran = testing::in_fresh_network([&] {
    Host host;
    if (host.interface_) body(host);
  });
  if (!ran) FAIL() << "needs root, or a user namespace with a network";
}

TEST(NetworkMonitor, SeesWhatOthersCanReach) {
  on_host([](Host& host) {
    ASSERT_TRUE(host.netlink_.set_up("lo", true));
    ASSERT_TRUE(host.netlink_.add_address("net0", ip("169.254.3.3"), 16));
    ASSERT_TRUE(host.netlink_.add_address("net0", ip("10.5.0.3"), 24));
    const auto network = look_at_network(host.netlink_, {});
    ASSERT_TRUE(network);
    EXPECT_EQ(network->addresses, (std::vector{ip("10.5.0.2"), ip("10.5.0.3")}));
    EXPECT_EQ(network->networks, std::vector{network_of("10.5.0.0/24")});
    ASSERT_TRUE(network->gateway_v4);
    EXPECT_EQ(network->gateway_v4->ifname, "net0");
    EXPECT_EQ(network->gateway_v4->address, ip("10.5.0.1"));
    EXPECT_FALSE(network->gateway_v6);
    EXPECT_TRUE(look_at_network(host.netlink_, {"net0"})->addresses.empty()) << "left out";
    ASSERT_TRUE(host.netlink_.set_up("net0", false));
    EXPECT_TRUE(look_at_network(host.netlink_, {})->addresses.empty()) << "down";
  });
}

TEST(NetworkMonitor, TellsOfAnotherAddress) {
  on_host([](Host& host) {
    host.watch();
    ASSERT_TRUE(host.netlink_.add_address("net0", ip("10.5.0.7"), 24));
    ASSERT_TRUE(host.until([&] { return host.told_.size() == 2; }));
    EXPECT_EQ(host.told_[1].network.addresses.size(), 2u);
    EXPECT_FALSE(host.told_[1].moved) << "the way out is the same";
  });
}

TEST(NetworkMonitor, TellsWhenTheDefaultRouteMoves) {
  on_host([](Host& host) {
    host.watch();
    ASSERT_TRUE(host.netlink_.remove_route(Host::default_route("10.5.0.1")));
    ASSERT_TRUE(host.until([&] { return !host.told_.back().network.gateway_v4; }));
    EXPECT_TRUE(host.told_.back().moved);
    const auto before = host.told_.size();
    ASSERT_TRUE(host.netlink_.add_route(Host::default_route("10.5.0.254")));
    ASSERT_TRUE(host.until([&] { return host.told_.size() > before; }));
    EXPECT_TRUE(host.told_.back().moved);
    EXPECT_EQ(host.told_.back().network.gateway_v4->address, ip("10.5.0.254"));
  });
}

TEST(NetworkMonitor, OtherRoutesAreNoNews) {
  on_host([](Host& host) {
    host.watch();
    ASSERT_TRUE(host.netlink_.add_route(
        {.prefix = network_of("10.77.0.0/16"), .ifname = "net0", .gateway = ip("10.5.0.1"), .metric = {}}));
    // The next real change is the second report, so the route was none.
    ASSERT_TRUE(host.netlink_.add_address("net0", ip("10.5.0.7"), 24));
    ASSERT_TRUE(host.until([&] { return host.told_.size() >= 2; }));
    EXPECT_EQ(host.told_.size(), 2u);
    EXPECT_EQ(host.told_[1].network.addresses.size(), 2u);
  });
}

}  // namespace
}  // namespace higgs::tunnel
