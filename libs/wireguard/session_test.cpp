#include "wireguard/session.h"

#include <gtest/gtest.h>

#include "wireguard/peer.h"

namespace higgs::wireguard {
namespace {

constexpr Instant kBegin{std::chrono::hours(10)};

struct SessionTest : ::testing::Test {
  SeededRandom random{31};
  IndexTable table;
  Peer peer{crypto::PublicKey{}};

  std::unique_ptr<Session> make(bool initiator, Instant now = kBegin) {
    return std::make_unique<Session>(TransportKeys{}, table.add(random, {&peer, nullptr}), 7, initiator, now);
  }
};

TEST_F(SessionTest, RunsOutOfMessages) {
  const auto session = make(true);
  EXPECT_EQ(session->reserve(3), 0u);
  EXPECT_EQ(session->reserve(1), 3u);
  EXPECT_FALSE(session->wants_rekey_after_send(kBegin));
  session->skip_counters_to(kRekeyAfterMessages);
  EXPECT_FALSE(session->wants_rekey_after_send(kBegin));
  session->reserve(1);
  EXPECT_TRUE(session->wants_rekey_after_send(kBegin));
  EXPECT_TRUE(session->may_send(kBegin));
  session->skip_counters_to(kRejectAfterMessages - 2);
  EXPECT_EQ(session->remaining(), 2u);
  session->reserve(2);
  EXPECT_FALSE(session->may_send(kBegin));
}

TEST_F(SessionTest, AgesAsSection62Says) {
  const auto initiator = make(true);
  const auto responder = make(false);
  using std::chrono::nanoseconds;
  EXPECT_FALSE(initiator->wants_rekey_after_send(kBegin + kRekeyAfterTime - nanoseconds(1)));
  EXPECT_TRUE(initiator->wants_rekey_after_send(kBegin + kRekeyAfterTime));
  EXPECT_FALSE(responder->wants_rekey_after_send(kBegin + kRejectAfterTime));
  EXPECT_FALSE(initiator->wants_rekey_after_receive(kBegin + std::chrono::seconds(164)));
  EXPECT_TRUE(initiator->wants_rekey_after_receive(kBegin + std::chrono::seconds(165)));
  EXPECT_FALSE(responder->wants_rekey_after_receive(kBegin + std::chrono::seconds(170)));
  EXPECT_TRUE(responder->may_send(kBegin + kRejectAfterTime - nanoseconds(1)));
  EXPECT_FALSE(responder->may_send(kBegin + kRejectAfterTime));
}

TEST_F(SessionTest, ResponderWaitsForConfirmation) {
  KeyPairs pairs;
  Session& first = pairs.add(make(false));
  EXPECT_EQ(pairs.sending(kBegin), nullptr);
  EXPECT_TRUE(pairs.confirm(first));
  EXPECT_FALSE(pairs.confirm(first));
  EXPECT_EQ(pairs.sending(kBegin), &first);
}

TEST_F(SessionTest, OldPairsAreKeptForPacketsUnderWay) {
  KeyPairs pairs;
  std::vector<std::uint32_t> indices;
  for (int i = 0; i < 5; ++i) indices.push_back(pairs.add(make(true)).index().index());
  EXPECT_EQ(pairs.size(), 4u);
  EXPECT_EQ(table.find(indices[0]), nullptr);
  for (int i = 1; i < 5; ++i) EXPECT_NE(table.find(indices[static_cast<std::size_t>(i)]), nullptr);
  pairs.clear();
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(pairs.size(), 0u);
}

TEST_F(SessionTest, AnUnconfirmedPairOutlivesTheNextUnconfirmedOne) {
  // The initiator got the first response, but its packets were lost; then it asked again and the second response was.
  KeyPairs pairs;
  Session& first = pairs.add(make(false));
  Session& second = pairs.add(make(false));
  EXPECT_TRUE(pairs.confirm(first));
  EXPECT_EQ(pairs.current(), &first);
  EXPECT_TRUE(pairs.confirm(second));
  EXPECT_EQ(pairs.current(), &second);
  EXPECT_EQ(pairs.size(), 2u);
}

TEST_F(SessionTest, CrossedHandshakesLeaveBothUsable) {
  KeyPairs pairs;
  Session& theirs = pairs.add(make(false));
  Session& ours = pairs.add(make(true));
  EXPECT_EQ(pairs.current(), &ours);
  EXPECT_NE(table.find(theirs.index().index()), nullptr);
  EXPECT_FALSE(pairs.confirm(theirs));
}

TEST_F(SessionTest, IndicesAreFoundWhileHeldAndSurviveGrowth) {
  std::vector<IndexTable::Lease> leases;
  for (int i = 0; i < 10000; ++i) leases.push_back(table.add(random, {&peer, nullptr}));
  EXPECT_EQ(table.size(), 10000u);
  for (const auto& lease : leases) {
    ASSERT_NE(table.find(lease.index()), nullptr);
    ASSERT_EQ(table.find(lease.index() ^ 0x80000000u), nullptr);
  }
  const auto gone = leases.back().index();
  leases.pop_back();
  EXPECT_EQ(table.find(gone), nullptr);
  leases.clear();
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace higgs::wireguard
