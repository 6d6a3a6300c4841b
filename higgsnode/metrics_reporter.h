// Sends the node's metrics to its server, for the operators' time series. Best effort: a report that does not arrive is
// counted and the next one is as good. Control thread.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "api/node.h"
#include "net/http_client.h"
#include "runtime/async_event.h"

namespace higgs::node {

class MetricsReporter {
 public:
  /// `token` is the one for heartbeats; an empty one means that there is nobody to report to just now. `server`: the
  /// origin of the one to report to.
  struct Source {
    std::function<api::MetricsReport()> report;
    std::function<std::string()> token;
    std::function<std::string()> server;
  };

  MetricsReporter(const boost::asio::any_io_executor& executor, net::HttpClient& http, std::chrono::seconds interval,
                  Source source);

  /// Until cancelled.
  boost::asio::awaitable<void> run();
  /// From the present report on.
  void set_interval(std::chrono::seconds interval);
  std::uint64_t sent() const noexcept { return sent_; }
  std::uint64_t failed() const noexcept { return failed_; }

 private:
  boost::asio::awaitable<void> send();

  net::HttpClient& http_;
  std::chrono::seconds interval_;
  Source source_;
  runtime::AsyncEvent changed_;
  std::uint64_t sent_ = 0, failed_ = 0;
};

}  // namespace higgs::node
