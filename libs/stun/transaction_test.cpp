#include "stun/transaction.h"

#include <vector>

#include <gtest/gtest.h>

namespace higgs::stun {
namespace {

using namespace std::chrono_literals;
const Instant kBegin{1000s};
using Step = TransactionTimer::Step;

std::vector<std::chrono::milliseconds> sending_times(RetransmissionPolicy policy, std::chrono::milliseconds& end) {
  std::vector<std::chrono::milliseconds> times;
  TransactionTimer timer(kBegin, policy);
  for (;;) {
    const Instant now = timer.next();
    const auto at = std::chrono::duration_cast<std::chrono::milliseconds>(now - kBegin);
    const Step step = timer.step(now);
    if (step == Step::kSend) times.push_back(at);
    if (step != Step::kGiveUp) continue;
    end = at;
    return times;
  }
}

TEST(TransactionTimer, SendsWhenTheRfcSays) {
  // RFC 8489, 6.2.1: "requests would be sent at times 0 ms, 500 ms, 1500 ms, 3500 ms, 7500 ms, 15500 ms, and 31500 ms.
  // If the client has not received a response after 39500 ms, the client will consider the transaction to have timed
  // out."
  std::chrono::milliseconds end{};
  const auto times = sending_times({}, end);
  EXPECT_EQ(times, (std::vector<std::chrono::milliseconds>{0ms, 500ms, 1500ms, 3500ms, 7500ms, 15500ms, 31500ms}));
  EXPECT_EQ(end, 39500ms);
}

TEST(TransactionTimer, OneAttemptWaitsRm) {
  std::chrono::milliseconds end{};
  EXPECT_EQ(sending_times({100ms, 1, 3}, end).size(), 1u);
  EXPECT_EQ(end, 300ms);
}

TEST(TransactionTimer, WaitsUntilItsTime) {
  TransactionTimer timer(kBegin);
  EXPECT_EQ(timer.step(kBegin - 1ns), Step::kWait);
  EXPECT_EQ(timer.sent(), 0u);
  EXPECT_EQ(timer.step(kBegin + 5ms), Step::kSend);
  EXPECT_EQ(timer.sent(), 1u);
  EXPECT_EQ(timer.last_sent(), kBegin + 5ms);
  EXPECT_EQ(timer.next(), kBegin + 505ms);
  EXPECT_EQ(timer.step(kBegin + 504ms), Step::kWait);
}

}  // namespace
}  // namespace higgs::stun
