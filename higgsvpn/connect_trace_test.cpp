#include "higgsvpn/connect_trace.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "net/http_server.h"
#include "net/testing/coroutine_test.h"
#include "runtime/deadline.h"
#include "runtime/log.h"

namespace higgs::vpn {
namespace {

using namespace std::chrono_literals;
using net::testing::run;
using net::testing::run_until;

class ConnectTraceTest : public ::testing::Test {
 protected:
  ConnectTraceTest() {
    runtime::log::set_level(runtime::log::Level::kOff);
    net::HttpHandlers handlers;
    handlers.request = [this](net::HttpRequest request) -> boost::asio::awaitable<net::HttpResponse> {
      const auto body = nlohmann::json::parse(request.body);
      for (const auto& span : body["resourceSpans"][0]["scopeSpans"][0]["spans"]) spans_.push_back(span);
      co_return net::HttpResponse{};
    };
    collector_.emplace(context_.get_executor(), std::nullopt, handlers);
    settings_.endpoint = "http://" + collector_->listen({IpAddress::v4(0x7f000001), 0})->to_string();
    trace_.emplace(context_.get_executor(), settings_, random_);
  }
  ~ConnectTraceTest() override {
    auto ending = trace_->stop();
    run(context_, std::move(ending));
    auto stopping = collector_->stop(0ms);
    run(context_, std::move(stopping));
  }
  const nlohmann::json* find(const std::string& name) const {
    for (const auto& span : spans_)
      if (span["name"] == name) return &span;
    return nullptr;
  }
  void connect() {
    trace_->tunnel_down(false);
    trace_->begin_step("route");
    trace_->end_step();
    trace_->session_begun(SessionId(Uuid::random(random_)), true);
    trace_->begin_step("relay link");
    trace_->end_step();
    trace_->link_opened();
    trace_->handshake_done();
    trace_->tunnel_up();
  }

  SystemRandom random_;
  boost::asio::io_context context_;
  net::TraceSettings settings_;
  std::vector<nlohmann::json> spans_;
  std::optional<net::HttpServer> collector_;
  std::optional<ConnectTrace> trace_;
};

TEST_F(ConnectTraceTest, AConnectIsSentWhenTheTunnelStands) {
  connect();
  run_until(context_, [&] { return find("connect") != nullptr; });
  for (const auto* step : {"route", "relay link", "handshake"}) {
    ASSERT_TRUE(find(step)) << step;
    EXPECT_EQ((*find(step))["parentSpanId"], (*find("connect"))["spanId"]);
  }
  EXPECT_FALSE(find("first direct path")) << "it is still looked for";
  trace_->path_taken(path::Kind::kRelay);
  trace_->path_taken(path::Kind::kDirectV6);
  run_until(context_, [&] { return find("first direct path") != nullptr; });
  EXPECT_EQ((*find("first direct path"))["traceId"], (*find("connect"))["traceId"]);
}

TEST_F(ConnectTraceTest, NothingIsSentWhileThereIsNoTunnel) {
  trace_->tunnel_down(false);
  trace_->begin_step("route");
  trace_->step_failed({ExitCode::kUnreachable, "cannot reach https://secret.example", "", false, {}});
  auto waiting = runtime::sleep_for(20ms);
  run(context_, std::move(waiting));
  auto ending = trace_->stop();
  run(context_, std::move(ending));
  EXPECT_TRUE(spans_.empty()) << "not at the end either";
}

TEST_F(ConnectTraceTest, AFailureIsToldByItsKind) {
  trace_->tunnel_down(false);
  trace_->begin_step("route");
  trace_->step_failed({ExitCode::kUnreachable, "cannot reach https://secret.example", "", false, {}});
  connect();
  run_until(context_, [&] { return find("connect") != nullptr; });
  EXPECT_EQ((*find("route"))["status"]["message"], "unreachable");
  EXPECT_EQ(nlohmann::json(spans_).dump().find("secret"), std::string::npos);
}

TEST_F(ConnectTraceTest, ATunnelThatIsMendedIsATraceOfItsOwn) {
  connect();
  trace_->tunnel_down(true);
  const auto context = trace_->begin_step("relay link");
  ASSERT_TRUE(context);
  trace_->end_step();
  trace_->link_opened();
  trace_->tunnel_up();
  run_until(context_, [&] { return find("reconnect") != nullptr; });
  EXPECT_NE((*find("reconnect"))["traceId"], (*find("connect"))["traceId"]);
  EXPECT_EQ((*find("reconnect"))["traceId"], to_hex(context->trace));
}

TEST_F(ConnectTraceTest, WithoutACollectorThereIsNoTrace) {
  ConnectTrace off(context_.get_executor(), {}, random_);
  off.tunnel_down(false);
  EXPECT_FALSE(off.begin_step("route")) << "and so no traceparent";
  off.tunnel_up();
}

}  // namespace
}  // namespace higgs::vpn
