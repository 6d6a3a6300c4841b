#include "higgsnode/metrics_reporter.h"

#include "runtime/log.h"

namespace higgs::node {

namespace asio = boost::asio;

MetricsReporter::MetricsReporter(const asio::any_io_executor& executor, net::HttpClient& http,
                                 std::chrono::seconds interval, Source source)
    : http_(http), interval_(interval), source_(std::move(source)), changed_(executor) {}

asio::awaitable<void> MetricsReporter::run() {
  for (;;) {
    const bool changed = co_await changed_.wait_for(interval_);
    if (!changed) co_await send();
  }
}

void MetricsReporter::set_interval(std::chrono::seconds interval) {
  if (interval == interval_) return;
  interval_ = interval;
  changed_.notify();
}

asio::awaitable<void> MetricsReporter::send() {
  const auto token = source_.token();
  if (token.empty()) co_return;
  net::HttpHeaders headers;
  headers.set("Content-Type", "application/json");
  headers.set("Authorization", "Bearer " + token);
  auto reporting = http_.request("POST", source_.server() + "/api/v1/metrics", headers, api::encode(source_.report()));
  const auto answered = co_await std::move(reporting);
  if (answered && answered->status / 100 == 2) {
    ++sent_;
    co_return;
  }
  ++failed_;
  runtime::log::debug("a report of metrics failed",
                      {{"reason", answered ? std::to_string(answered->status) : answered.error().message()}});
}

}  // namespace higgs::node
