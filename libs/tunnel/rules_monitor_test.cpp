#include "tunnel/rules_monitor.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "runtime/task_group.h"
#include "tunnel/netlink.h"
#include "tunnel/testing/own_network.h"

namespace higgs::tunnel {
namespace {

using namespace std::chrono_literals;
using testing::in_own_network;

/// Runs a monitor and counts its looks.
class Watch {
 public:
  explicit Watch(RulesMonitor::Limits limits) : tasks_(context_.get_executor()) {
    monitor_.emplace(context_.get_executor(), limits);
    tasks_.spawn("monitor", monitor_->run([this] { ++looks_; }));
    context_.poll();
  }
  ~Watch() {
    tasks_.cancel();
    while (tasks_.size() > 0) context_.run_one_for(100ms);
  }
  /// Whether it has looked since `change`.
  bool looks_after(const std::function<void()>& change) {
    context_.poll();
    const int before = looks_;
    change();
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (looks_ == before && std::chrono::steady_clock::now() < end) context_.run_one_for(100ms);
    return looks_ > before;
  }

 private:
  boost::asio::io_context context_{1};
  std::optional<RulesMonitor> monitor_;
  runtime::TaskGroup tasks_;
  int looks_ = 0;
};

TEST(RulesMonitorTest, LooksAtOnceWhenRulesOrRoutesChange) {
  if (!in_own_network([&] {
        Watch watch({24h, 0ms});
        const auto command = [](std::vector<std::string> words) {
          return
              [words = std::move(words)] { EXPECT_TRUE(run_command(words).ok()) << words.at(0) << " " << words.at(1); };
        };
        EXPECT_TRUE(watch.looks_after(command({"ip", "rule", "add", "pref", "7", "table", "77"})));
        EXPECT_TRUE(watch.looks_after(command({"ip", "-6", "rule", "add", "pref", "7", "table", "77"})));
        EXPECT_TRUE(watch.looks_after(command({"ip", "route", "add", "blackhole", "192.0.2.0/24", "table", "77"})));
        EXPECT_TRUE(watch.looks_after(command({"nft", "add", "table", "ip6", "somebody"})));
        EXPECT_TRUE(watch.looks_after(command({"nft", "flush", "ruleset"})));
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

TEST(RulesMonitorTest, LooksNowAndThenAnyway) {
  if (!in_own_network([&] {
        Watch watch({1ms, 0ms});
        EXPECT_TRUE(watch.looks_after([] {}));
      })) {
    FAIL() << "needs root, or a user namespace with a network";
  }
}

}  // namespace
}  // namespace higgs::tunnel
