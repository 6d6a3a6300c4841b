// SIGTERM, SIGINT and SIGHUP as values to wait for. One instance a program.
#pragma once

#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace higgs::runtime {

class Signals {
 public:
  /// From here on the three no longer end the program; SIGPIPE is ignored.
  explicit Signals(const boost::asio::any_io_executor& executor);
  ~Signals();

  /// The next signal's number. Throws operation_aborted when cancelled.
  boost::asio::awaitable<int> next();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::runtime
