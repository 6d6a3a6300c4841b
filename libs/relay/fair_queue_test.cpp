#include "relay/fair_queue.h"

#include <map>
#include <numeric>

#include <gtest/gtest.h>

#include "relay/batch_queue.h"
#include "relay/testing/frames.h"

namespace higgs::relay {
namespace {

using namespace std::chrono_literals;
using testing::join;
using testing::make_message;
using testing::make_numbered;
using testing::numbers_of;

const Instant kStart{1000s};

class FairQueueTest : public ::testing::Test {
 protected:
  std::vector<unsigned> drain_numbers(Instant now, std::size_t quantum) {
    std::vector<unsigned> all;
    while (const auto message = queue_.pop(now, quantum)) {
      const auto numbers = numbers_of(join(message.parts));
      EXPECT_EQ(numbers.size(), message.packets);
      EXPECT_EQ(join(message.parts).size(), message.bytes);
      all.insert(all.end(), numbers.begin(), numbers.end());
    }
    return all;
  }

  QueueContext context_;
  FairQueueLimits limits_{128 * 1024, 1000ms};
  FairQueue queue_{limits_, context_};
};

std::vector<unsigned> from_to(unsigned first, unsigned end) {
  std::vector<unsigned> numbers(end - first);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

TEST_F(FairQueueTest, BatchComesOutWholeWithTheChannelOfTheQueue) {
  queue_.push(kStart, 9, make_numbered(0, 0, 10, 1400));
  const auto message = queue_.pop(kStart, kMaxQuantumBytes);
  EXPECT_EQ(join(message.parts), make_numbered(9, 0, 10, 1400));
  EXPECT_FALSE(queue_.pop(kStart, kMaxQuantumBytes));
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(context_.memory.used(), 0u);
}

TEST_F(FairQueueTest, BatchIsCutAtPacketBoundaries) {
  queue_.push(kStart, 1, make_numbered(0, 0, 10, 1400));
  std::vector<unsigned> all;
  while (const auto message = queue_.pop(kStart, 4096)) {
    EXPECT_LE(message.bytes, 4096u + kHeaderBytes);
    EXPECT_LE(message.packets, 2u);
    const auto numbers = numbers_of(join(message.parts));
    all.insert(all.end(), numbers.begin(), numbers.end());
  }
  EXPECT_EQ(all, from_to(0, 10));
  EXPECT_EQ(context_.drops.total(), 0u);
}

TEST_F(FairQueueTest, SmallBatchesAreGatheredIntoOneMessage) {
  for (unsigned i = 0; i < 100; ++i) queue_.push(kStart, 1, make_numbered(0, static_cast<std::uint16_t>(i), 1, 100));
  const auto message = queue_.pop(kStart, kMaxQuantumBytes);
  EXPECT_EQ(message.packets, kMaxPackets);
  EXPECT_EQ(numbers_of(join(message.parts)), from_to(0, 64));
  EXPECT_EQ(drain_numbers(kStart, kMaxQuantumBytes), from_to(64, 100));
}

TEST_F(FairQueueTest, PacketLargerThanTheQuantumGoesAlone) {
  queue_.push(kStart, 1, make_numbered(0, 0, 1, 60000));
  queue_.push(kStart, 1, make_numbered(0, 1, 2, 5000));
  EXPECT_EQ(queue_.pop(kStart, 4096).packets, 1u);
  EXPECT_EQ(drain_numbers(kStart, 4096), from_to(1, 3));
}

TEST_F(FairQueueTest, OldestPacketsGoFirstAtTheByteLimit) {
  for (unsigned i = 0; i < 20; ++i)
    queue_.push(kStart, 1, make_numbered(0, static_cast<std::uint16_t>(10 * i), 10, 1400));
  EXPECT_LE(queue_.bytes(), limits_.session_bytes);
  const auto dropped = context_.drops[DropReason::kQueueFull];
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(drain_numbers(kStart, kMaxQuantumBytes), from_to(static_cast<unsigned>(dropped), 200));
}

TEST_F(FairQueueTest, WhatIsTooOldIsDropped) {
  queue_.push(kStart, 1, make_numbered(0, 0, 5, 100));
  queue_.push(kStart + 800ms, 1, make_numbered(0, 5, 5, 100));
  EXPECT_EQ(drain_numbers(kStart + 1100ms, kMaxQuantumBytes), from_to(5, 10));
  EXPECT_EQ(context_.drops[DropReason::kAge], 5u);
}

TEST_F(FairQueueTest, CoDelDropsSinglePacketsWhileTheWaitStaysLong) {
  // 10 packets come every 10 ms and 9 leave: the wait grows beyond the target and stays there.
  unsigned sent = 0, received = 0;
  Instant now = kStart;
  for (int tick = 0; tick < 300; ++tick, now += 10ms) {
    queue_.push(now, 1, make_numbered(0, static_cast<std::uint16_t>(sent), 10, 400));
    sent += 10;
    std::size_t budget = 9 * 402;
    while (const auto message = queue_.pop(now, budget)) {
      received += static_cast<unsigned>(message.packets);
      budget -= std::min(budget, message.bytes - kHeaderBytes);
      if (budget < 402) break;
    }
  }
  const auto dropped = context_.drops[DropReason::kCoDel];
  EXPECT_GT(dropped, 20u);
  EXPECT_LT(dropped, sent / 5);
  EXPECT_EQ(context_.drops[DropReason::kAge], 0u);
  EXPECT_EQ(context_.drops[DropReason::kQueueFull], 0u);
  EXPECT_EQ(sent, received + dropped + drain_numbers(now, kMaxQuantumBytes).size() +
                      (context_.drops[DropReason::kCoDel] - dropped));
}

TEST_F(FairQueueTest, ShortBurstLosesNothing) {
  queue_.push(kStart, 1, make_numbered(0, 0, 60, 1000));
  unsigned received = 0;
  for (Instant now = kStart; const auto message = queue_.pop(now, 4096); now += 5ms)
    received += static_cast<unsigned>(message.packets);
  EXPECT_EQ(received, 60u);
}

TEST_F(FairQueueTest, GreedySessionGetsNoMoreThanItsShare) {
  std::map<Channel, std::size_t> bytes;
  Instant now = kStart;
  for (int tick = 0; tick < 200; ++tick, now += 1ms) {
    for (int i = 0; i < 4; ++i) queue_.push(now, 1, make_numbered(0, 0, 40, 1400));
    queue_.push(now, 2, make_numbered(0, 0, 10, 1400));
    queue_.push(now, 3, make_numbered(0, 0, 20, 700));
    std::size_t budget = 24 * 1024;
    while (budget > 0) {
      const auto message = queue_.pop(now, 4096);
      if (!message) break;
      bytes[message.channel] += message.bytes;
      budget -= std::min(budget, message.bytes);
    }
  }
  const double share = static_cast<double>(bytes[1] + bytes[2] + bytes[3]) / 3;
  for (const Channel channel : {1u, 2u, 3u}) EXPECT_NEAR(static_cast<double>(bytes[channel]), share, share * 0.1);
}

TEST_F(FairQueueTest, SparseSessionOvertakesABacklog) {
  for (int i = 0; i < 2; ++i) queue_.push(kStart, 1, make_numbered(0, 0, 40, 1400));
  EXPECT_EQ(queue_.pop(kStart, 4096).channel, 1u);
  EXPECT_EQ(queue_.pop(kStart, 4096).channel, 1u);
  queue_.push(kStart, 2, make_numbered(0, 0, 1, 200));
  EXPECT_EQ(queue_.pop(kStart, 4096).channel, 2u);
}

TEST_F(FairQueueTest, RemovedSessionLeavesNothingBehind) {
  queue_.push(kStart, 1, make_numbered(0, 0, 10, 1000));
  queue_.push(kStart, 2, make_numbered(0, 10, 10, 1000));
  queue_.remove(1);
  EXPECT_EQ(context_.drops[DropReason::kClosed], 10u);
  EXPECT_EQ(drain_numbers(kStart, kMaxQuantumBytes), from_to(10, 20));
  EXPECT_TRUE(queue_.empty());
  queue_.remove(2);
  EXPECT_EQ(context_.memory.used(), 0u);
}

TEST_F(FairQueueTest, MemoryBudgetBoundsAllSessionsTogether) {
  QueueContext context;
  context.memory = MemoryBudget(200 * 1024);
  FairQueue queue(limits_, context);
  for (Channel channel = 1; channel <= 50; ++channel) queue.push(kStart, channel, make_numbered(0, 0, 10, 1400));
  EXPECT_LE(context.memory.used(), 200u * 1024);
  EXPECT_GT(context.drops[DropReason::kMemory], 0u);
}

TEST_F(FairQueueTest, LossIsReportedOncePerSession) {
  for (int i = 0; i < 20; ++i) queue_.push(kStart, 5, make_numbered(0, 0, 10, 1400));
  queue_.push(kStart, 6, make_numbered(0, 0, 1, 100));
  ASSERT_TRUE(queue_.has_reports());
  const auto reports = queue_.take_reports();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].channel, 5u);
  EXPECT_EQ(reports[0].dropped_packets, context_.drops.total());
  EXPECT_FALSE(queue_.has_reports());
}

TEST_F(FairQueueTest, WrongLengthsAreDroppedWhenSeenAndDoNoHarm) {
  Bytes message = make_numbered(0, 0, 10, 1400);
  store_be(message.data() + kHeaderBytes, std::uint16_t{65000});
  queue_.push(kStart, 1, message);
  queue_.push(kStart, 1, make_numbered(0, 10, 2, 1400));
  EXPECT_EQ(drain_numbers(kStart, 4096), from_to(10, 12));
  EXPECT_EQ(context_.drops[DropReason::kMalformed], 10u);
}

TEST_F(FairQueueTest, CutNeverLeavesABadHeader) {
  // Two packets where the header promises ten: behind the first there is no room for the nine that remain.
  Bytes message = make_message(0, std::vector<Bytes>{Bytes(4094), Bytes(8)});
  store_be(message.data() + 2, std::uint16_t{10});
  ASSERT_TRUE(parse_header(message));
  queue_.push(kStart, 1, message);
  while (const auto out = queue_.pop(kStart, 4096)) EXPECT_TRUE(parse_header(join(out.parts)));
  EXPECT_EQ(context_.drops[DropReason::kMalformed], 10u);
  EXPECT_EQ(context_.memory.used(), 0u);
}

TEST(Quantum, FollowsTheRateWithinItsBounds) {
  EXPECT_EQ(quantum_for_rate(0), kMinQuantumBytes);
  EXPECT_EQ(quantum_for_rate(12'500'000), 12'500u);
  EXPECT_EQ(quantum_for_rate(~std::uint64_t{0}), kMaxQuantumBytes);
}

}  // namespace
}  // namespace higgs::relay
