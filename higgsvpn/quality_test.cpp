#include "higgsvpn/quality.h"

#include <gtest/gtest.h>

namespace higgs::vpn {
namespace {

using namespace std::chrono_literals;

TEST(Quality, ThroughputSettles) {
  Quality quality;
  Instant now{100s};
  QualitySample sample;
  for (int i = 0; i < 20; ++i) {
    quality.add(now, sample);
    now += 1s;
    sample.received_bytes += 1'250'000;
    sample.sent_bytes += 125'000;
  }
  EXPECT_NEAR(quality.received_mbps(), 10.0, 0.01);
  EXPECT_NEAR(quality.sent_mbps(), 1.0, 0.001);
}

TEST(Quality, TotalsSurviveANewInterface) {
  Quality quality;
  quality.add(Instant(1s), {1000, 5000, {}});
  quality.add(Instant(2s), {10, 20, {}});
  EXPECT_EQ(quality.sent_bytes(), 1010u);
  EXPECT_EQ(quality.received_bytes(), 5020u);
  EXPECT_GE(quality.sent_mbps(), 0.0);
}

TEST(Quality, RoundTripIsSmoothed) {
  Quality quality;
  EXPECT_EQ(quality.round_trip_ms(), std::nullopt);
  for (int i = 0; i < 100; ++i) quality.add(Instant(std::chrono::seconds(i)), {0, 0, 20ms});
  EXPECT_NEAR(*quality.round_trip_ms(), 20.0, 0.1);
  EXPECT_NEAR(quality.jitter_ms(), 0.0, 0.1);
  quality.add(Instant(100s), {0, 0, 100ms});
  EXPECT_LT(*quality.round_trip_ms(), 35.0);
  EXPECT_GT(quality.jitter_ms(), 10.0);
}

}  // namespace
}  // namespace higgs::vpn
