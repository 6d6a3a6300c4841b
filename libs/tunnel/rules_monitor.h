// Tells when somebody may have changed the packet filter, the policy rules or the routes of this network namespace, so
// that whoever keeps some of them there can look at once. By nfnetlink and rtnetlink; what these do not tell of (the
// legacy back end of iptables, files) is looked at now and then anyway.
//
// Threads: the executor's.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

namespace higgs::tunnel {

class RulesMonitor {
 public:
  struct Limits {
    /// The longest time without a look.
    std::chrono::milliseconds patience{2000};
    /// Another program may change something all the time, or undo what a look has put back.
    std::chrono::milliseconds between_looks{500};
  };
  /// Where the kernel tells of nothing, only `patience` counts.
  explicit RulesMonitor(const boost::asio::any_io_executor& executor) : RulesMonitor(executor, Limits()) {}
  RulesMonitor(const boost::asio::any_io_executor& executor, Limits limits);

  /// Until cancelled. What `look` itself changes makes it look once more.
  boost::asio::awaitable<void> run(std::function<void()> look);

 private:
  boost::asio::awaitable<void> change();

  std::optional<boost::asio::posix::stream_descriptor> filter_, routing_;
  Limits limits_;
};

}  // namespace higgs::tunnel
