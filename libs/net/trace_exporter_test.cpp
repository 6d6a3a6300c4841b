#include "net/trace_exporter.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "net/http_server.h"
#include "net/testing/coroutine_test.h"
#include "net/tracing.h"
#include "runtime/deadline.h"
#include "runtime/log.h"

namespace higgs::net {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::run;
using testing::run_until;

/// A collector that answers as it is told.
class TraceExporterTest : public ::testing::Test {
 protected:
  TraceExporterTest() {
    runtime::log::set_level(runtime::log::Level::kOff);
    HttpHandlers handlers;
    handlers.request = [this](HttpRequest request) { return answer(std::move(request)); };
    server_.emplace(context_.get_executor(), std::nullopt, handlers);
    where_ = *server_->listen({IpAddress::v4(0x7f000001), 0});
    settings_.endpoint = "http://" + where_.to_string();
    limits_.interval = 1ms;
    limits_.first_pause = 1ms;
    limits_.batch_spans = 2;
    limits_.attempts = 3;
  }
  void TearDown() override {
    auto stopping = server_->stop(0ms);
    run(context_, std::move(stopping));
  }
  asio::awaitable<HttpResponse> answer(HttpRequest request) {
    requests_.push_back(request);
    if (silent_) {
      asio::steady_timer never(context_, 1h);
      co_await never.async_wait(asio::use_awaitable);
    }
    HttpResponse response = next_;
    if (failures_ > 0) {
      --failures_;
      response.status = 503;
      response.headers.set("Retry-After", "0");
    }
    co_return response;
  }
  void trace(const char* name) { tracer_.start(name, trace::SpanKind::kInternal).end(); }
  TraceExporter& start() {
    exporter_.emplace(context_.get_executor(), settings_, trace::Resource{"test", "1", "one"}, tracer_.queue(), random_,
                      limits_);
    exporter_->start();
    return *exporter_;
  }
  void stop(std::chrono::milliseconds most = 10s) {
    auto stopping = exporter_->stop(most);
    run(context_, std::move(stopping));
  }
  /// Names of all spans that came, in order, those sent again more than once.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& request : requests_) {
      const auto body = nlohmann::json::parse(request.body);
      for (const auto& span : body["resourceSpans"][0]["scopeSpans"][0]["spans"]) found.push_back(span["name"]);
    }
    return found;
  }

  asio::io_context context_;
  SystemRandom random_;
  trace::Tracer tracer_{1.0, random_, runtime_now};
  static Now runtime_now() { return {Instant(1s), from_unix_seconds(1)}; }
  TraceSettings settings_;
  TraceExportLimits limits_;
  std::optional<HttpServer> server_;
  std::optional<TraceExporter> exporter_;
  Endpoint where_;
  HttpResponse next_;
  int failures_ = 0;
  bool silent_ = false;
  std::vector<HttpRequest> requests_;
};

TEST_F(TraceExporterTest, SpansArePostedInBatches) {
  for (const auto* name : {"a", "b", "c"}) trace(name);
  auto& exporter = start();
  run_until(context_, [&] { return exporter.stats().exported == 3; });
  stop();
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_EQ(requests_.size(), 2u);
  EXPECT_EQ(requests_[0].method, "POST");
  EXPECT_EQ(requests_[0].path, "/v1/traces");
  EXPECT_EQ(requests_[0].headers.get("Content-Type"), "application/json");
}

TEST_F(TraceExporterTest, ABusyCollectorIsAskedAgain) {
  failures_ = 2;
  trace("a");
  auto& exporter = start();
  run_until(context_, [&] { return exporter.stats().exported == 1; });
  stop();
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "a", "a"}));
  EXPECT_EQ(exporter.stats().failed, 0u);
}

TEST_F(TraceExporterTest, AfterAFewAttemptsABatchIsGivenUp) {
  failures_ = 3;
  for (const auto* name : {"a", "b", "c"}) trace(name);
  auto& exporter = start();
  run_until(context_, [&] { return exporter.stats().exported == 1; });
  stop();
  EXPECT_EQ(exporter.stats().failed, 2u);
  EXPECT_EQ(names().back(), "c");
}

TEST_F(TraceExporterTest, WhatIsRefusedIsNotSentAgain) {
  next_.status = 400;
  trace("a");
  auto& exporter = start();
  run_until(context_, [&] { return exporter.stats().refused == 1; });
  next_.status = 200;
  next_.body = R"({"partialSuccess":{"rejectedSpans":"1"}})";
  trace("b");
  trace("c");
  run_until(context_, [&] { return exporter.stats().refused == 2; });
  stop();
  EXPECT_EQ(exporter.stats().exported, 1u);
  EXPECT_EQ(requests_.size(), 2u);
}

TEST_F(TraceExporterTest, ClosedItSendsNothing) {
  trace("a");
  auto& exporter = start();
  exporter.set_open(false);
  run(context_, runtime::sleep_for(20ms));
  EXPECT_TRUE(requests_.empty());
  exporter.set_open(true);
  run_until(context_, [&] { return exporter.stats().exported == 1; });
  exporter.set_open(false);
  trace("b");
  stop();
  EXPECT_EQ(names(), (std::vector<std::string>{"a"})) << "not at the end either";
}

TEST_F(TraceExporterTest, TheEndSendsWhatWaits) {
  limits_.interval = 1h;
  auto& exporter = start();
  run(context_, runtime::sleep_for(1ms));
  for (const auto* name : {"a", "b", "c"}) trace(name);
  stop();
  EXPECT_EQ(exporter.stats().exported, 3u);
}

TEST_F(TraceExporterTest, ASilentCollectorHoldsNobodyUp) {
  silent_ = true;
  trace("a");
  start();
  run_until(context_, [&] { return requests_.size() == 1; });
  trace("b");
  stop(20ms);
  EXPECT_EQ(exporter_->stats().exported, 0u);
}

TEST_F(TraceExporterTest, NobodyThereIsNotFatal) {
  settings_.endpoint = "http://127.0.0.1:1";
  limits_.attempts = 2;
  trace("a");
  auto& exporter = start();
  run_until(context_, [&] { return exporter.stats().failed == 1; });
  stop();
}

TEST(TraceSettingsTest, WhereSpansArePosted) {
  EXPECT_EQ(traces_url("https://c.example:4318"), "https://c.example:4318/v1/traces");
  EXPECT_EQ(traces_url("https://c.example:4318/"), "https://c.example:4318/v1/traces");
  EXPECT_EQ(traces_url("https://c.example/otlp"), "https://c.example/otlp/v1/traces");
  EXPECT_EQ(traces_url("https://c.example/v1/traces"), "https://c.example/v1/traces");
}

TEST(TraceSettingsTest, OnlyUrlsOfCollectorsAreTaken) {
  const auto problems_of = [](const std::string& endpoint, TraceSettings::Host host = TraceSettings::Host::kAny) {
    TraceSettings settings;
    config::Schema schema;
    settings.declare(schema, host);
    config::Sources sources;
    sources.file_name = "file";
    sources.file_text = "[tracing]\nendpoint = \"" + endpoint + "\"\n";
    return schema.load(sources).size();
  };
  EXPECT_EQ(problems_of("http://127.0.0.1:4318"), 0u);
  EXPECT_EQ(problems_of("https://collector.example/otlp"), 0u);
  for (const auto* bad : {"", "collector:4318", "grpc://collector:4317", "https://user:secret@collector", "wss://c",
                          "https://c/?key=1", "https://c:99999"})
    EXPECT_EQ(problems_of(bad), 1u) << bad;
  EXPECT_EQ(problems_of("https://[2001:db8::1]:4318", TraceSettings::Host::kAddress), 0u);
  EXPECT_EQ(problems_of("https://collector.example", TraceSettings::Host::kAddress), 1u);
}

TEST(TraceParentTest, ExactlyOneCounts) {
  const std::string text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  HttpHeaders headers;
  EXPECT_FALSE(trace_parent_of(headers));
  set_trace_parent(headers, std::nullopt);
  EXPECT_TRUE(headers.all().empty());
  set_trace_parent(headers, trace::parse_traceparent(text));
  EXPECT_EQ(trace_parent_of(headers), trace::parse_traceparent(text));
  headers.add("Traceparent", text);
  EXPECT_FALSE(trace_parent_of(headers));
}

}  // namespace
}  // namespace higgs::net
