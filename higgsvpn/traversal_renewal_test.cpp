#include "higgsvpn/traversal_renewal.h"

#include <gtest/gtest.h>

namespace higgs::vpn {
namespace {

using Need = TraversalRenewal::Need;

TEST(TraversalRenewal, AtTheFirstSessionReadyBothEndsAreNew) {
  TraversalRenewal renewal;
  EXPECT_EQ(renewal.on_ready(true), Need::kNothing);
  EXPECT_EQ(renewal.on_ready(false), Need::kNothing) << "the node kept what it knew";
}

TEST(TraversalRenewal, ANodeThatForgotTheSessionIsMetAnew) {
  TraversalRenewal renewal;
  (void)renewal.on_ready(true);
  EXPECT_EQ(renewal.on_ready(true), Need::kBeginAnew);
  EXPECT_EQ(renewal.on_ready(true), Need::kBeginAnew) << "each time";
}

TEST(TraversalRenewal, WhatWasToldBeforeTheNodeCameIsLost) {
  TraversalRenewal renewal;
  renewal.node_away();
  EXPECT_EQ(renewal.on_ready(true), Need::kBeginAnew);
  EXPECT_EQ(renewal.on_ready(false), Need::kNothing);
}

TEST(TraversalRenewal, ANodeThatWasAwayAndForgotNothingIsToldAgain) {
  TraversalRenewal renewal;
  (void)renewal.on_ready(true);
  renewal.node_away();
  EXPECT_EQ(renewal.on_ready(false), Need::kTellAgain);
  EXPECT_EQ(renewal.on_ready(false), Need::kNothing) << "once";
}

}  // namespace
}  // namespace higgs::vpn
