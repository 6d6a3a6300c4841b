#include "node_load/load.h"

#include <algorithm>
#include <exception>
#include <iostream>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "api/registration_signature.h"
#include "runtime/clock.h"

namespace higgs::node_load {
namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr std::size_t kProgress = 1000;
constexpr std::size_t kRouteConnections = 16;
/// As nodes do: a registration that fails is tried again.
constexpr unsigned kAttempts = 10;
constexpr std::chrono::seconds kRetry{1};
/// From a period to the next; what was sent in one is answered by then, or has failed.
constexpr std::chrono::seconds kSettle{11};

Instant now() { return runtime::now().monotonic; }
double seconds_since(Instant time) { return std::chrono::duration<double>(now() - time).count(); }
void tell(const json& line) { std::cout << line.dump() << std::endl; }

net::TlsContext tls_of(const Options& options) {
  auto context = net::TlsContext::client({{options.pin}, std::nullopt});
  if (!context) throw std::runtime_error("TLS: " + context.error().message());
  return std::move(*context);
}

asio::awaitable<void> wait_until(Instant time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  co_await timer.async_wait(asio::use_awaitable);
}

json summary_of(Outcomes& outcomes) {
  return {{"answered", outcomes.answered()},       {"failures", outcomes.failures()},
          {"p50_ms", outcomes.percentile(0.5)},    {"p99_ms", outcomes.percentile(0.99)},
          {"p999_ms", outcomes.percentile(0.999)}, {"max_ms", outcomes.percentile(1)}};
}

}  // namespace

Load::Load(const Options& options) : options_(options), tls_(tls_of(options)) {
  for (unsigned i = 0; i < options.nodes; ++i) nodes_.emplace_back(i, static_cast<unsigned>(options.interval.count()));
  for (unsigned i = 0; i < options.connections; ++i)
    connections_.push_back(std::make_unique<Connection>(context_.get_executor(), options_, tls_, i));
  for (std::size_t i = 0; i < kRouteConnections && options.routes_per_second > 0; ++i)
    route_connections_.push_back(std::make_unique<Connection>(context_.get_executor(), options_, tls_, i));
}

bool Load::run() {
  started_ = now();
  std::vector<Task> tasks;
  // These connections are given up afterwards: the server closes those that say nothing for long.
  for (std::size_t i = 0; i < std::min<std::size_t>(options_.parallel, connections_.size()); ++i)
    tasks.push_back(register_some(*connections_[i]));
  run_all(std::move(tasks));
  tell(
      {{"event", "registered"}, {"nodes", nodes_.size()}, {"seconds", seconds_since(started_)}, {"retried", retried_}});

  tell({{"event", "connecting"}});
  started_ = now();
  next_ = 0;
  tasks.clear();
  for (unsigned i = 0; i < options_.parallel; ++i) tasks.push_back(open_some());
  if (!route_connections_.empty()) tasks.push_back(route_user_.log_in(*route_connections_.front(), options_));
  run_all(std::move(tasks));
  tell({{"event", "connected"}, {"connections", connections_.size()}, {"seconds", seconds_since(started_)}});

  plan();
  tasks.clear();
  for (std::size_t i = 0; i < connections_.size(); ++i) tasks.push_back(send_heartbeats(i));
  for (std::size_t i = 0; i < route_connections_.size(); ++i) tasks.push_back(send_routes(i));
  tasks.push_back(tell_periods());
  run_all(std::move(tasks));
  // What waits for deadlines of connections must end before its context does.
  for (const auto& all : {&connections_, &route_connections_})
    for (const auto& connection : *all) connection->close();
  context_.restart();
  context_.run();
  return std::all_of(periods_.begin(), periods_.end(), [](const Period& period) {
    return period.heartbeats.failures().empty() && period.routes.failures().empty() && period.unended_sessions == 0;
  });
}

void Load::plan() {
  started_ = now();
  end_ = started_ + options_.warm_up;
  for (unsigned round = 0; round < options_.rounds; ++round) {
    periods_.push_back({end_, end_ + options_.measured});
    end_ = periods_.back().end + kSettle;
    if (route_connections_.empty()) continue;
    periods_.push_back({end_, end_ + options_.measured, true});
    end_ = periods_.back().end + kSettle;
  }
}

Load::Period* Load::period_of(Instant due) {
  const auto found = std::find_if(periods_.begin(), periods_.end(),
                                  [due](const Period& period) { return due >= period.begin && due < period.end; });
  return found == periods_.end() ? nullptr : &*found;
}

void Load::run_all(std::vector<Task> tasks) {
  std::exception_ptr failure;
  std::size_t running = tasks.size();
  for (auto& task : tasks) {
    asio::co_spawn(context_, std::move(task), [&](const std::exception_ptr& error) {
      if (error && !failure) failure = error;
      // Not when there is nothing left to do: kept connections have timers.
      if (--running == 0 || error) context_.stop();
    });
  }
  context_.restart();
  context_.run();
  if (failure) std::rethrow_exception(failure);
}

Load::Task Load::register_some(Connection& connection) {
  const auto origin = api::origin_of(options_.server);
  if (!origin) throw std::runtime_error("not an https:// URL: " + options_.server);
  while (next_ < nodes_.size()) {
    auto& node = nodes_[next_++];
    if (next_ % kProgress == 0) std::cerr << next_ << " nodes, " << seconds_since(started_) << " s" << std::endl;
    for (unsigned attempt = 1;; ++attempt) {
      const auto refused = co_await node.join(connection, *origin, random_);
      if (!refused) break;
      if (attempt == kAttempts) throw std::runtime_error("a node is not registered: " + *refused);
      ++retried_;
      co_await wait_until(now() + kRetry);
    }
  }
  connection.close();
}

Load::Task Load::open_some() {
  while (next_ < connections_.size()) {
    const auto index = next_++;
    // With a request, since a connection that says nothing at first is soon closed.
    const auto answer = co_await nodes_[index].send_heartbeat(*connections_[index]);
    if (!answer) throw std::runtime_error("no connection: " + answer.error().message());
    if (next_ % kProgress == 0) std::cerr << next_ << " connections" << std::endl;
  }
}

Load::Task Load::send_heartbeats(std::size_t connection) {
  const double interval = static_cast<double>(options_.interval.count());
  for (std::size_t round = 0;; ++round) {
    for (auto index = connection; index < nodes_.size(); index += connections_.size()) {
      const std::chrono::duration<double> place(static_cast<double>(index) / static_cast<double>(nodes_.size()) *
                                                interval);
      const auto due = started_ + options_.interval * round + std::chrono::duration_cast<Instant::duration>(place);
      if (due >= end_) co_return;
      if (now() > end_) {
        if (auto* const period = period_of(due)) period->heartbeats.add_unsent();
        continue;
      }
      co_await wait_until(due);
      const auto answer = co_await nodes_[index].send_heartbeat(*connections_[connection]);
      if (auto* const period = period_of(due)) period->heartbeats.add(answer, due, now());
    }
  }
}

Load::Task Load::send_routes(std::size_t connection) {
  auto& own = *route_connections_[connection];
  for (auto& period : periods_) {
    if (!period.with_routes) continue;
    for (auto number = connection;; number += route_connections_.size()) {
      const std::chrono::duration<double> place(static_cast<double>(number) / options_.routes_per_second);
      const auto due = period.begin + std::chrono::duration_cast<Instant::duration>(place);
      if (due >= period.end) break;
      if (now() > period.end) {
        period.routes.add_unsent();
        continue;
      }
      co_await wait_until(due);
      const auto answer = co_await route_user_.request_route(own);
      period.routes.add(answer, due, now());
      if (!answer || answer->status != 200) continue;
      const bool ended = co_await route_user_.end_session(own, *answer);
      if (!ended) ++period.unended_sessions;
    }
  }
}

Load::Task Load::tell_periods() {
  for (auto& period : periods_) {
    co_await wait_until(period.begin);
    tell({{"event", "begin"}, {"routes", period.with_routes}});
    co_await wait_until(period.end);
    tell({{"event", "end"}});
    co_await wait_until(period.end + kSettle);
    tell_result(period);
  }
}

void Load::tell_result(Period& period) {
  json line{{"event", "result"}, {"heartbeats", summary_of(period.heartbeats)}};
  if (period.with_routes) {
    line["routes"] = summary_of(period.routes);
    line["unended_sessions"] = period.unended_sessions;
  }
  tell(line);
}

}  // namespace higgs::node_load
