#include "runtime/signals.h"

#include <csignal>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace higgs::runtime {

class Signals::Impl {
 public:
  explicit Impl(const boost::asio::any_io_executor& executor) : set(executor, SIGTERM, SIGINT, SIGHUP) {}
  boost::asio::signal_set set;
};

Signals::Signals(const boost::asio::any_io_executor& executor) : impl_(std::make_unique<Impl>(executor)) {
  std::signal(SIGPIPE, SIG_IGN);
}
Signals::~Signals() = default;

boost::asio::awaitable<int> Signals::next() {
  const int number = co_await impl_->set.async_wait(boost::asio::use_awaitable);
  co_return number;
}

}  // namespace higgs::runtime
