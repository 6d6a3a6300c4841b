#include "bosonserver/server/server_traces.h"

#include "bosonserver/server/front_door.h"
#include "bosonserver/server/relay_ledger.h"
#include "bosonserver/server/testing/no_watch.h"
#include "bosonserver/server/testing/server_fixture.h"

namespace higgs::boson::testing {
namespace {

const auto kParent = trace::parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

SessionId session(unsigned number) {
  ByteArray<16> bytes{};
  store_be(bytes.data(), number);
  return SessionId(Uuid(bytes));
}

class ServerTracesTest : public ServerFixture {
 protected:
  /// What is recorded of one request to a server's door.
  std::vector<trace::SpanData> traced(const std::string& method, const std::string& path, const std::string& parent) {
    start();
    TurnDesk turn(settings_, random_);
    ServerMetrics metrics;
    PathStatistics paths(metrics);
    NoWatch nodes;
    RelayMeter meter(services(), {}, [](SessionId) { return std::nullopt; });
    RelayLedger ledger(
        services(), [](const std::function<void()>& job) { job(); }, turn, paths, nodes, meter, traces_);
    RelayOptions options;
    options.workers = 1;
    RelayServer relay(options, ledger);
    runtime::BlockingPool store({1, 16}), password({1, 16});
    OverloadGate overload;
    FrontDoor door(services(), metrics, store, password, overload, relay, meter, std::nullopt, traces_);
    net::HttpRequest request;
    request.method = method;
    request.path = path;
    if (!parent.empty()) request.headers.set("traceparent", parent);
    auto answering = door.handlers().request(request);
    (void)net::testing::run(io_, std::move(answering));
    return tracer_.queue().take(100);
  }
  static std::string text_of(const trace::SpanData& span, const std::string& name) {
    for (const auto& [key, value] : span.attributes)
      if (key == name) return std::get<std::string>(value);
    return "";
  }

  SystemRandom entropy_;
  trace::Tracer tracer_{1.0, entropy_, runtime::now};
  ServerTraces traces_{tracer_};
};

TEST_F(ServerTracesTest, ARequestIsAPartOfItsCallersTrace) {
  const auto spans = traced("GET", "/api/v1/nodes/some-id", trace::to_traceparent(*kParent));
  ASSERT_EQ(spans.size(), 3u);
  const auto& request = spans[2];
  EXPECT_EQ(spans[0].name, "wait for a thread");
  EXPECT_EQ(spans[1].name, "work");
  EXPECT_EQ(request.name, "GET /api/v1/nodes/{id}");
  EXPECT_EQ(request.kind, trace::SpanKind::kServer);
  EXPECT_EQ(request.context.trace, kParent->trace);
  EXPECT_EQ(request.parent, kParent->span);
  for (const auto part : {0u, 1u}) EXPECT_EQ(spans[part].parent, request.context.span);
  EXPECT_EQ(text_of(request, "http.route"), "/api/v1/nodes/{id}");
  EXPECT_EQ(text_of(request, "http.request.method"), "GET");
  EXPECT_EQ(request.attributes.back(),
            (std::pair<std::string, trace::AttributeValue>("http.response.status_code", std::int64_t{401})));
  EXPECT_FALSE(request.failure) << "that is the caller's failure";
}

TEST_F(ServerTracesTest, WhatIsNoRouteIsNotRepeated) {
  const auto spans = traced("BREW", "/alice/secret", "00-nonsense");
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(spans[2].name, "HTTP");
  EXPECT_FALSE(spans[2].parent) << "a trace of its own";
  EXPECT_EQ(text_of(spans[2], "http.request.method"), "_OTHER");
  EXPECT_EQ(text_of(spans[2], "http.route"), "");
}

TEST_F(ServerTracesTest, AnOpeningLastsUntilTheNodeAnswers) {
  const NodeId node;
  const auto told = traces_.session_opening(session(1), node, kParent);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->trace, kParent->trace);
  EXPECT_NE(told->span, kParent->span);
  EXPECT_EQ(tracer_.queue().size(), 0u);
  EXPECT_EQ(traces_.session_ready(session(1)), told);
  EXPECT_FALSE(traces_.session_ready(session(1))) << "once";
  traces_.session_opening(session(2), node, kParent);
  traces_.session_refused(session(2), relay::RefusalReason::kFull);
  traces_.session_opening(session(3), node, kParent);
  traces_.session_ended(session(3));
  EXPECT_FALSE(traces_.session_opening(session(4), node, std::nullopt)) << "of a client that nobody traces";
  const auto spans = tracer_.queue().take(10);
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(spans[0].name, "session-open");
  EXPECT_EQ(spans[0].parent, kParent->span);
  EXPECT_FALSE(spans[0].failure);
  EXPECT_EQ(spans[1].failure, "full");
  EXPECT_TRUE(spans[2].failure);
}

TEST_F(ServerTracesTest, OpeningsThatNobodyAnswersAreBounded) {
  for (unsigned i = 0; i < ServerTraces::kMaxOpenings + 10; ++i) traces_.session_opening(session(i), NodeId(), kParent);
  EXPECT_EQ(tracer_.queue().size(), 10u);
}

TEST_F(ServerTracesTest, WithoutTracingTheCallersContextGoesOn) {
  trace::Tracer off(std::nullopt, entropy_, runtime::now);
  ServerTraces traces(off);
  EXPECT_EQ(traces.session_opening(session(1), NodeId(), kParent), kParent);
  EXPECT_FALSE(traces.session_ready(session(1)));
}

}  // namespace
}  // namespace higgs::boson::testing
