#include "bosonserver/api/route_candidates.h"

#include <future>
#include <numeric>

#include <gtest/gtest.h>

#include "bosonserver/api/maintenance.h"
#include "bosonserver/server/testing/server_fixture.h"
#include "bosonserver/store/testing/counting_store.h"
#include "bosonserver/store/testing/records.h"

namespace higgs::boson::testing {
namespace {

using namespace std::chrono_literals;

class RouteCandidatesTest : public ServerFixture {
 protected:
  void add(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto node = make_node(random_);
      node.last_seen = unix_seconds(now().wall);
      auto added = services().store.register_node(node);
      // A slow machine may take longer than a request waits to read so many for the server's own maintenance.
      while (!added && added.error() == StoreError::kUnavailable) added = services().store.register_node(node);
      ASSERT_TRUE(added) << added.error().message();
    }
    services().directory.forget();
  }
  RouteCandidates::List list() { return list(now()); }
  RouteCandidates::List list(Now at) { return *services().candidates.get(services(), at); }
};

TEST_F(RouteCandidatesTest, OfFewNodesTheNextRequestSeesWhatChanged) {
  start();
  add(3);
  EXPECT_EQ(list()->size(), 3u);
  add(1);
  EXPECT_EQ(list()->size(), 4u);
}

TEST_F(RouteCandidatesTest, OfManyTheyAreMadeOnceASecond) {
  start();
  add(kManyCandidates);
  auto at = now();
  const auto first = list(at);
  EXPECT_EQ(first->size(), kManyCandidates);
  add(1);
  EXPECT_EQ(list(at), first);
  at.monotonic += 1s;
  EXPECT_EQ(list(at)->size(), kManyCandidates + 1);
}

TEST_F(RouteCandidatesTest, AStoreThatTakesItsTimeHoldsUpOneRequest) {
  start();
  CountingStore store;
  const auto& real = services();
  NodeDirectory directory(*store, real.cluster);
  RouteCandidates candidates;
  const Services slow{real.settings,  real.store,   real.grace,      real.cache, real.keys,        real.sealer,
                      real.passwords, directory,    real.heartbeats, candidates, real.places,      real.relay,
                      real.turn,      real.cluster, real.random,     real.clock, real.local_names, real.server_id};
  const auto count = [&, time = now()] { return (*candidates.get(slow, time))->size(); };
  const auto add_one = [&] {
    const auto node = make_node(random_);
    ASSERT_TRUE(store->register_node(node));
    directory.forget(node.id);
  };
  add_one();
  EXPECT_EQ(count(), 1u);
  add_one();
  std::promise<void> asked, answer;
  store.before_call = [&, once = std::make_shared<std::once_flag>()] {
    std::call_once(*once, [&] {
      asked.set_value();
      answer.get_future().wait();
    });
  };
  auto first = std::async(std::launch::async, count);
  asked.get_future().wait();
  auto second = std::async(std::launch::async, count);
  EXPECT_EQ(second.wait_for(20s), std::future_status::ready) << "it need not wait for the first";
  answer.set_value();
  EXPECT_EQ(second.get(), 1u) << "as it was";
  EXPECT_EQ(first.get(), 2u);
}

TEST_F(RouteCandidatesTest, TheNodesAreReadBeforeAnybodyAsks) {
  start();
  add(1);
  const auto calls = [&] {
    const auto counts = services().store.stats().calls.counts;
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  };
  Maintenance maintenance(services());
  // Once the events of the registration are heard, of which nobody knows when they come.
  net::testing::run_until(io_, [&] {
    services().directory.forget();
    maintenance.run();
    const auto before = calls();
    return list()->size() == 1 && calls() == before;
  });
}

TEST_F(RouteCandidatesTest, WhoFallsSilentIsOfflineWithoutAnyWordOfIt) {
  start();
  add(1);
  EXPECT_EQ(list()->front().status, api::NodeStatus::kOnline);
  pass(10min);
  EXPECT_EQ(list()->front().status, api::NodeStatus::kOffline);
}

}  // namespace
}  // namespace higgs::boson::testing
