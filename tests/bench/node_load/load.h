// The whole run: nodes register, connections open, heartbeats flow, and what came of them is told.
//
// One thread. A line of JSON on standard output for each step, so that whoever started this can look at the server
// meanwhile: registered, connecting, connected, then begin, end and result of each period that is measured. Progress
// goes to standard error.
#pragma once

#include <memory>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include "base/random.h"
#include "node_load/node.h"
#include "node_load/outcomes.h"
#include "node_load/route_user.h"

namespace higgs::node_load {

class Load {
 public:
  explicit Load(const Options& options);
  /// Throws std::runtime_error where it cannot even begin. False: some heartbeat or route was not answered well.
  bool run();

 private:
  using Task = boost::asio::awaitable<void>;
  Task register_some(Connection& connection);
  Task open_some();
  Task send_heartbeats(std::size_t connection);
  Task send_routes(std::size_t connection);
  Task tell_periods();
  void plan();
  /// All tasks to their end, on this thread.
  void run_all(std::vector<Task> tasks);

  /// What is measured at a time.
  struct Period {
    Instant begin, end;
    bool with_routes = false;
    Outcomes heartbeats{}, routes{};
    std::size_t unended_sessions = 0;
  };
  /// nullptr: what is due then is not measured.
  Period* period_of(Instant due);
  static void tell_result(Period& period);

  const Options& options_;
  boost::asio::io_context context_{1};
  net::TlsContext tls_;
  SystemRandom random_;
  std::vector<Node> nodes_;
  std::vector<std::unique_ptr<Connection>> connections_, route_connections_;
  RouteUser route_user_{random_};
  std::size_t next_ = 0;     // of the nodes that register, or the connections that open
  std::size_t retried_ = 0;  // registrations
  Instant started_, end_;
  std::vector<Period> periods_;
};

}  // namespace higgs::node_load
