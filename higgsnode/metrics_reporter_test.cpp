#include "higgsnode/metrics_reporter.h"

#include <gtest/gtest.h>

#include "higgsnode/testing/fake_server.h"
#include "higgsnode/testing/run_until.h"
#include "runtime/task_group.h"

namespace higgs::node {
namespace {

using namespace std::chrono_literals;
using testing_support::FakeServer;
using testing_support::run_until;

class Reporter : public testing::Test {
 protected:
  Reporter()
      : server_(context_),
        http_(context_.get_executor(), server_.client_options()),
        reporter_(context_.get_executor(), http_, 3600s,
                  {[] { return report(); }, [this] { return token_; }, [this] { return server_.url(); }}),
        tasks_(context_.get_executor()) {
    server_.answers["/api/v1/metrics"] = [this](const net::HttpRequest& request) {
      EXPECT_EQ(request.headers.get("Authorization"), "Bearer " + token_);
      const auto body = api::decode<api::MetricsReport>(request.body);
      EXPECT_TRUE(body && body->connections_active == 3);
      ++reports_;
      return FakeServer::json("", status_);
    };
    tasks_.spawn("reporter", reporter_.run());
  }
  ~Reporter() override {
    tasks_.cancel();
    http_.close();
    run_until(context_, [this] { return tasks_.size() == 0; });
  }
  static api::MetricsReport report() {
    api::MetricsReport report;
    report.connections_active = 3;
    return report;
  }
  bool until(const std::function<bool()>& condition) { return run_until(context_, condition); }

  boost::asio::io_context context_;
  FakeServer server_;
  net::HttpClient http_;
  std::string token_ = "token";
  MetricsReporter reporter_;
  runtime::TaskGroup tasks_;
  unsigned status_ = 204;
  int reports_ = 0;
};

TEST_F(Reporter, AnotherIntervalHoldsAtOnceAndAFailureEndsNothing) {
  status_ = 503;
  reporter_.set_interval(0s);  // the hour that it waits for is over
  ASSERT_TRUE(until([&] { return reporter_.failed() > 0; }));
  status_ = 204;
  ASSERT_TRUE(until([&] { return reporter_.sent() > 1; }));
  EXPECT_GE(reports_, 3);
}

TEST_F(Reporter, ReportsToNobodyWithoutARegistration) {
  token_.clear();
  int looked = 0;
  reporter_.set_interval(0s);
  ASSERT_TRUE(until([&] { return ++looked > 3; }));
  EXPECT_EQ(reports_, 0);
  EXPECT_EQ(reporter_.sent() + reporter_.failed(), 0u);
}

}  // namespace
}  // namespace higgs::node
