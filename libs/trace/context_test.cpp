#include "trace/context.h"

#include <gtest/gtest.h>

namespace higgs::trace {
namespace {

constexpr std::string_view kExample = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(Traceparent, TheExampleOfTheRecommendation) {
  const auto context = parse_traceparent(kExample);
  ASSERT_TRUE(context);
  EXPECT_EQ(to_hex(context->trace), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(to_hex(context->span), "00f067aa0ba902b7");
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(to_traceparent(*context), kExample);
}

TEST(Traceparent, OnlyTheLowestFlagCounts) {
  const auto with_flags = [](std::string_view flags) {
    return parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-" + std::string(flags));
  };
  EXPECT_FALSE(with_flags("00")->sampled);
  EXPECT_FALSE(with_flags("fe")->sampled);
  EXPECT_TRUE(with_flags("ff")->sampled);
  EXPECT_EQ(to_traceparent(*with_flags("fe")).substr(53), "00") << "flags that we do not know are not passed on";
}

TEST(Traceparent, LaterVersionsAreReadAsFarAsTheyAreKnown) {
  EXPECT_EQ(parse_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), parse_traceparent(kExample));
  EXPECT_EQ(parse_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-then"),
            parse_traceparent(kExample));
  EXPECT_FALSE(parse_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what"));
  EXPECT_FALSE(parse_traceparent("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  EXPECT_FALSE(parse_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-" + std::string(1000, 'a')));
}

TEST(Traceparent, WhatIsNoneIsNone) {
  for (const std::string_view text :
       {"", "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",      // cut
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",    // goes on, in version 00
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",    //
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",    //
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",     // upper case
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",     //
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",     // no trace
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",     // no span
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",     // no number
        "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",     //
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",     //
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",     // other separators
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",     //
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",     //
        "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01"}) {  // at other places
    EXPECT_FALSE(parse_traceparent(text)) << text;
  }
}

TEST(Traceparent, IdsAreNeverZero) {
  /// Zeros first, as no generator is likely to give them.
  class ZerosFirst final : public RandomSource {
   public:
    void fill(MutableBytes out) noexcept override {
      std::fill(out.begin(), out.end(), std::byte{static_cast<unsigned char>(calls_++)});
    }

   private:
    unsigned calls_ = 0;
  };
  ZerosFirst random;
  EXPECT_NE(make_trace_id(random), TraceId{});
  ZerosFirst another;
  EXPECT_NE(make_span_id(another), SpanId{});
}

}  // namespace
}  // namespace higgs::trace
