#include "trace/tracer.h"

#include <thread>

#include <gtest/gtest.h>

namespace higgs::trace {
namespace {

using namespace std::chrono_literals;

class TracerTest : public ::testing::Test {
 protected:
  std::vector<SpanData> ended(Tracer& tracer) { return tracer.queue().take(kMaxQueuedSpans); }

  SystemRandom random_;
  Now now_{Instant(1000s), from_unix_seconds(1'800'000'000)};
  std::function<Now()> clock_ = [this] { return now_; };
  Tracer tracer_{1.0, random_, clock_};
};

TEST_F(TracerTest, AChildBelongsToItsParent) {
  auto root = tracer_.start("connect", SpanKind::kInternal);
  ASSERT_TRUE(root.context());
  now_.monotonic += 20ms;
  now_.wall += 20ms;
  auto child = tracer_.start("route", SpanKind::kClient, root.context());
  EXPECT_EQ(child.context()->trace, root.context()->trace);
  EXPECT_NE(child.context()->span, root.context()->span);
  now_.monotonic += 5ms;
  child.end();
  child.end();
  root.end();
  const auto spans = ended(tracer_);
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0].name, "route");
  EXPECT_EQ(spans[0].kind, SpanKind::kClient);
  EXPECT_EQ(spans[0].parent, spans[1].context.span);
  EXPECT_EQ(spans[0].start, from_unix_seconds(1'800'000'000) + 20ms);
  EXPECT_EQ(spans[0].end - spans[0].start, 5ms);
  EXPECT_FALSE(spans[1].parent);
}

TEST_F(TracerTest, AClockThatIsSetChangesNoDuration) {
  auto span = tracer_.start("route", SpanKind::kClient);
  now_.wall -= 24h;
  now_.monotonic += 7ms;
  span.end();
  const auto spans = ended(tracer_);
  EXPECT_EQ(spans.at(0).end - spans.at(0).start, 7ms);
}

TEST_F(TracerTest, ASpanEndsWithItsScopeAndWhenItIsReplaced) {
  {
    Span span = tracer_.start("one", SpanKind::kInternal);
    span = tracer_.start("two", SpanKind::kInternal);
    EXPECT_EQ(tracer_.queue().size(), 1u);
    Span moved = std::move(span);
  }
  const auto spans = ended(tracer_);
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[1].name, "two");
}

TEST_F(TracerTest, TheParentDecides) {
  Tracer never(0.0, random_, clock_);
  SpanContext parent{make_trace_id(random_), make_span_id(random_), true};
  EXPECT_TRUE(never.start("x", SpanKind::kServer, parent).recorded());
  parent.sampled = false;
  auto unrecorded = tracer_.start("x", SpanKind::kServer, parent);
  EXPECT_FALSE(unrecorded.recorded());
  ASSERT_TRUE(unrecorded.context());
  EXPECT_FALSE(unrecorded.context()->sampled);
  EXPECT_EQ(unrecorded.context()->trace, parent.trace) << "children elsewhere follow it too";
  unrecorded.set("key", "value");
  unrecorded.fail("why");
  EXPECT_FALSE(never.start("x", SpanKind::kServer).recorded());
}

TEST_F(TracerTest, SomeOfTheTraces) {
  Tracer some(0.25, random_, clock_);
  int recorded = 0;
  for (int i = 0; i < 4000; ++i) recorded += some.start("x", SpanKind::kInternal).recorded() ? 1 : 0;
  EXPECT_GT(recorded, 800);
  EXPECT_LT(recorded, 1200);
  TraceId low{}, high{};
  low.back() = std::byte{1};
  high.fill(std::byte{0xff});
  EXPECT_TRUE(sampled(low, 0.01));
  EXPECT_FALSE(sampled(high, 0.99));
  EXPECT_TRUE(sampled(high, 1.0));
  EXPECT_FALSE(sampled(low, 0.0));
}

TEST_F(TracerTest, OffItOnlyPassesOn) {
  Tracer off(std::nullopt, random_, clock_);
  EXPECT_FALSE(off.on());
  EXPECT_FALSE(off.start("x", SpanKind::kServer).context());
  const SpanContext parent{make_trace_id(random_), make_span_id(random_), true};
  const auto span = off.start("x", SpanKind::kServer, parent);
  EXPECT_EQ(span.context(), parent);
  EXPECT_FALSE(span.recorded());
  EXPECT_EQ(off.queue().size(), 0u);
  EXPECT_FALSE(Span().context());
}

TEST_F(TracerTest, AttributesAreFewAndShort) {
  auto span = tracer_.start("x", SpanKind::kInternal);
  span.set("text", std::string(1000, 'a'));
  span.fail(std::string(1000, 'b'));
  for (int i = 0; i < 20; ++i) span.set("n", std::int64_t{i});
  span.end();
  const auto spans = ended(tracer_);
  EXPECT_EQ(spans.at(0).attributes.size(), kMaxAttributes);
  EXPECT_EQ(spans.at(0).dropped_attributes, 21 - kMaxAttributes);
  EXPECT_EQ(std::get<std::string>(spans.at(0).attributes.at(0).second).size(), kMaxAttributeBytes);
  EXPECT_EQ(spans.at(0).failure->size(), kMaxAttributeBytes);
}

TEST(SpanQueueTest, WhatDoesNotFitIsDroppedAndCounted) {
  SpanQueue queue(2);
  for (const char* name : {"a", "b", "c"}) {
    SpanData span;
    span.name = name;
    queue.push(std::move(span));
  }
  EXPECT_EQ(queue.dropped(), 1u);
  EXPECT_EQ(queue.take(1).at(0).name, "a");
  EXPECT_EQ(queue.take(5).at(0).name, "b");
  EXPECT_TRUE(queue.take(5).empty());
}

TEST_F(TracerTest, ManyThreadsTraceAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([this] {
      for (int j = 0; j < 100; ++j) tracer_.start("x", SpanKind::kInternal).set("n", std::int64_t{j});
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(tracer_.queue().size(), 400u);
}

}  // namespace
}  // namespace higgs::trace
