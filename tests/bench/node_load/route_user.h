// Somebody who asks for routes, and ends each session at once.
#pragma once

#include <string>

#include <boost/asio/awaitable.hpp>

#include "base/random.h"
#include "node_load/connection.h"

namespace higgs::node_load {

class RouteUser {
 public:
  explicit RouteUser(RandomSource& random) : random_(random) {}

  /// Throws std::runtime_error where the server says no.
  boost::asio::awaitable<void> log_in(Connection& connection, const Options& options);
  boost::asio::awaitable<Result<net::HttpResponse>> request_route(Connection& connection);
  /// Of the answer to a request; false where that does not work.
  boost::asio::awaitable<bool> end_session(Connection& connection, const net::HttpResponse& route);

 private:
  RandomSource& random_;
  std::string authorization_;
  unsigned requests_ = 0;
};

}  // namespace higgs::node_load
