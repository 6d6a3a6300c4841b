#include "net/nat_discovery.h"

#include <array>
#include <atomic>
#include <optional>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <gtest/gtest.h>

#include "net/udp_message.h"
#include "stun/binding.h"

namespace higgs::net {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;

/// A STUN server with two loopback addresses and two ports, on the test's own event loop.
class Server {
 public:
  explicit Server(asio::io_context& context) : context_(context) {
    open(0, {asio::ip::make_address("127.0.0.1"), 0});
    open(3, {asio::ip::make_address("127.0.0.2"), 0});
    open(1, {sockets_[0]->local_endpoint().address(), sockets_[3]->local_endpoint().port()});
    open(2, {sockets_[3]->local_endpoint().address(), sockets_[0]->local_endpoint().port()});
  }
  Endpoint endpoint(std::size_t index) const {
    const auto local = sockets_[index]->local_endpoint();
    return {IpAddress::v4(local.address().to_v4().to_uint()), local.port()};
  }
  bool silent = false;

 private:
  void open(std::size_t index, const udp::endpoint& where) {
    sockets_[index].emplace(context_, where);
    receive(index);
  }
  void receive(std::size_t index) {
    auto& socket = *sockets_[index];
    socket.async_receive_from(asio::buffer(buffers_[index]), sources_[index],
                              [this, index](const boost::system::error_code& error, std::size_t size) {
                                if (error) return;
                                answer(index, size);
                                receive(index);
                              });
  }
  void answer(std::size_t index, std::size_t size) {
    if (silent) return;
    ByteArray<512> buffer;
    const Endpoint source{IpAddress::v4(sources_[index].address().to_v4().to_uint()), sources_[index].port()};
    const auto given = stun::answer_binding(ByteView(buffers_[index]).first(size), source,
                                            {"test", endpoint(index), endpoint(index ^ 3)}, buffer);
    const std::size_t from = index ^ (given.change_port ? 1u : 0u) ^ (given.change_address ? 2u : 0u);
    sockets_[from]->send_to(asio::buffer(given.bytes.data(), given.bytes.size()), sources_[index]);
  }

  asio::io_context& context_;
  std::array<std::optional<udp::socket>, 4> sockets_;
  std::array<ByteArray<512>, 4> buffers_;
  std::array<udp::endpoint, 4> sources_;
};

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
  Server server_{context_};
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
