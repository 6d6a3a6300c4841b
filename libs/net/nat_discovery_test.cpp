#include "net/nat_discovery.h"

#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "net/testing/loopback_stun.h"

namespace higgs::net {
namespace {

namespace asio = boost::asio;

class NatDiscovery : public ::testing::Test {
 protected:
  std::optional<stun::BehaviourReport> discover() {
    std::optional<stun::BehaviourReport> report;
    NatDiscoveryOptions options;
    options.server = server_.endpoint(0);
    auto done = [&](const std::exception_ptr& error, const Result<stun::BehaviourReport>& result) {
      if (!error && result) report = *result;
      context_.stop();
    };
    asio::co_spawn(context_, discover_nat(options, random_), done);
    context_.run();
    return report;
  }
  asio::io_context context_{1};
  testing::LoopbackStun server_{context_};
  SystemRandom random_;
};

TEST_F(NatDiscovery, LoopbackHasNoFilterAndOneMapping) {
  const auto report = discover();
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->server_complete);
  EXPECT_EQ(report->mapping, stun::Behaviour::kEndpointIndependent);
  EXPECT_EQ(report->filtering, stun::Behaviour::kEndpointIndependent);
  EXPECT_EQ(report->allocation, stun::PortAllocation::kPreserved);
  ASSERT_TRUE(report->mapped);
  EXPECT_EQ(report->mapped->address, *IpAddress::parse("127.0.0.1"));
}

TEST_F(NatDiscovery, SilenceIsAReport) {
  server_.silent = true;
  const auto report = discover();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->nat, stun::NatClass::kUdpBlocked);
}

TEST(LocalAddresses, LieInTheirNetworksAndAreNotLoopback) {
  for (const auto& local : local_addresses({})) {
    EXPECT_TRUE(local.network.contains(local.address));
    EXPECT_FALSE(IpPrefix::parse("127.0.0.0/8")->contains(local.address));
    EXPECT_TRUE(local_addresses({local.interface}).size() < local_addresses({}).size());
  }
}

}  // namespace
}  // namespace higgs::net
