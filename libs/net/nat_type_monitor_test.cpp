#include "net/nat_type_monitor.h"

#include <filesystem>
#include <fstream>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <stdlib.h>

#include "net/testing/loopback_stun.h"
#include "runtime/files.h"

namespace higgs::net {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

class NatMonitor : public ::testing::Test {
 protected:
  NatMonitor() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-nat-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~NatMonitor() override { std::filesystem::remove_all(directory_); }

  NatTypeMonitor make() {
    NatTypeMonitorOptions options;
    options.memory = directory_ / "nat.json";
    options.known_addresses = [this](const std::string& host) {
      resolved_ = host;
      return std::vector<IpAddress>{server_.endpoint(0).address};
    };
    return NatTypeMonitor(context_.get_executor(), std::move(options), random_);
  }
  /// Runs until `changed` was called so often.
  void run(NatTypeMonitor& monitor, int changes) {
    int seen = 0;
    auto changed = [&] {
      if (++seen == changes) end_.emit(asio::cancellation_type::terminal);
    };
    auto done = asio::bind_cancellation_slot(end_.slot(), [this](const std::exception_ptr&) { context_.stop(); });
    asio::co_spawn(context_, monitor.run(changed), done);
    context_.restart();
    context_.run_for(20s);
    EXPECT_EQ(seen, changes);
  }
  nlohmann::json memory() const {
    const auto text = runtime::read_file(directory_ / "nat.json");
    return text ? nlohmann::json::parse(*text) : nlohmann::json();
  }

  asio::io_context context_{1};
  asio::cancellation_signal end_;
  testing::LoopbackStun server_{context_};
  SystemRandom random_;
  std::filesystem::path directory_;
  std::string resolved_;
};

TEST_F(NatMonitor, FindsTellsAndRemembers) {
  auto monitor = make();
  EXPECT_FALSE(monitor.report());
  EXPECT_EQ(monitor.json(), "null");
  monitor.set_server({"stun.test", server_.endpoint(0).port});
  run(monitor, 1);
  EXPECT_EQ(resolved_, "stun.test");
  ASSERT_TRUE(monitor.report());
  EXPECT_EQ(monitor.report()->mapping, stun::Behaviour::kEndpointIndependent);
  EXPECT_EQ(memory()["stunServer"]["host"], "stun.test");
  EXPECT_EQ(remembered_stun_server(directory_ / "nat.json"), (StunServerName{"stun.test", server_.endpoint(0).port}));
  const auto next = make();
  ASSERT_TRUE(next.report());
  EXPECT_EQ(next.report()->nat, monitor.report()->nat);
  EXPECT_EQ(next.report()->mapped, monitor.report()->mapped);
}

TEST_F(NatMonitor, MemoryOfAnotherNetworkOrOfLongAgoIsNone) {
  {
    auto monitor = make();
    monitor.set_server({"stun.test", server_.endpoint(0).port});
    run(monitor, 1);
  }
  const auto kept = memory();
  const auto with = [&](const char* key, const nlohmann::json& value) {
    auto changed = kept;
    changed[key] = value;
    std::ofstream(directory_ / "nat.json") << changed.dump();
    return make().report().has_value();
  };
  EXPECT_TRUE(with("at", kept["at"]));
  EXPECT_FALSE(with("at", kept["at"].get<std::int64_t>() - 25 * 3600));
  EXPECT_FALSE(with("at", kept["at"].get<std::int64_t>() + 3600));
  EXPECT_FALSE(with("addresses", nlohmann::json::array({"192.0.2.77"})));
  EXPECT_FALSE(with("natType", "Weird"));
  std::ofstream(directory_ / "nat.json") << "no JSON";
  EXPECT_FALSE(make().report());
  EXPECT_FALSE(remembered_stun_server(directory_ / "nat.json"));
}

TEST_F(NatMonitor, ForgetsWhenTheNetworkChanges) {
  auto monitor = make();
  monitor.set_server({"127.0.0.1", server_.endpoint(0).port});
  run(monitor, 1);
  monitor.network_changed();
  EXPECT_FALSE(monitor.report());
  run(monitor, 1);
  EXPECT_TRUE(monitor.report());
}

}  // namespace
}  // namespace higgs::net
