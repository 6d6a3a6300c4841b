#include "trace/otlp.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace higgs::trace {
namespace {

SpanData example() {
  SpanData span;
  span.context = *parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  span.name = "GET /api/v1/nodes";
  span.kind = SpanKind::kServer;
  span.start = WallTime(std::chrono::nanoseconds(1'800'000'000'123'456'789));
  span.end = span.start + std::chrono::nanoseconds(1);
  return span;
}

TEST(Otlp, ABatchIsWhatTheProtocolSays) {
  auto span = example();
  span.parent = parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-01")->span;
  span.attributes = {{"http.route", "/api/v1/nodes"},
                     {"http.response.status_code", std::int64_t{503}},
                     {"fresh", true},
                     {"share", 0.5}};
  span.dropped_attributes = 2;
  span.failure = "overloaded";
  const auto text = encode_traces({"bosonserver", "0.1.0", "id"}, std::vector{span, example()});
  const auto expected = nlohmann::json::parse(R"({"resourceSpans": [{
    "resource": {"attributes": [
      {"key": "service.name", "value": {"stringValue": "bosonserver"}},
      {"key": "service.version", "value": {"stringValue": "0.1.0"}},
      {"key": "service.instance.id", "value": {"stringValue": "id"}}]},
    "scopeSpans": [{"scope": {"name": "higgs", "version": "0.1.0"}, "spans": [{
      "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "parentSpanId": "00000000000000ab",
      "name": "GET /api/v1/nodes", "kind": 2,
      "startTimeUnixNano": "1800000000123456789", "endTimeUnixNano": "1800000000123456790",
      "attributes": [
        {"key": "http.route", "value": {"stringValue": "/api/v1/nodes"}},
        {"key": "http.response.status_code", "value": {"intValue": "503"}},
        {"key": "fresh", "value": {"boolValue": true}},
        {"key": "share", "value": {"doubleValue": 0.5}}],
      "droppedAttributesCount": 2,
      "status": {"code": 2, "message": "overloaded"}}, {
      "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7",
      "name": "GET /api/v1/nodes", "kind": 2,
      "startTimeUnixNano": "1800000000123456789", "endTimeUnixNano": "1800000000123456790"}]}]}]})");
  EXPECT_EQ(nlohmann::json::parse(text), expected) << text;
}

TEST(Otlp, TextThatIsNoUtf8IsReplaced) {
  auto span = example();
  span.attributes = {{"cut", std::string("\xc3")}};
  EXPECT_FALSE(nlohmann::json::parse(encode_traces({"a", "b", "c"}, std::vector{span}), nullptr, false).is_discarded());
}

TEST(Otlp, WhatAnAnswerMeans) {
  EXPECT_EQ(verdict_of(200), Verdict::kTaken);
  EXPECT_EQ(verdict_of(202), Verdict::kTaken);
  for (const unsigned status : {429u, 502u, 503u, 504u}) EXPECT_EQ(verdict_of(status), Verdict::kAgain) << status;
  for (const unsigned status : {301u, 400u, 401u, 404u, 413u, 500u}) EXPECT_EQ(verdict_of(status), Verdict::kRefused);
  EXPECT_EQ(parse_retry_after("7"), std::chrono::seconds(7));
  for (const auto* text : {"", "-1", "1.5", "99999999999", "Wed, 21 Oct 2026 07:28:00 GMT", " 7"})
    EXPECT_FALSE(parse_retry_after(text)) << text;
}

TEST(Otlp, WhatWasRejectedIsCounted) {
  EXPECT_EQ(rejected_spans(R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"late"}})"), 3u);
  EXPECT_EQ(rejected_spans(R"({"partialSuccess":{"rejectedSpans":3}})"), 3u);
  for (const auto* text : {"", "{}", "[]", "null", R"({"partialSuccess":null})", R"({"partialSuccess":{}})",
                           R"({"partialSuccess":{"rejectedSpans":-3}})", R"({"partialSuccess":{"rejectedSpans":"x"}})"})
    EXPECT_EQ(rejected_spans(text), 0u) << text;
}

}  // namespace
}  // namespace higgs::trace
