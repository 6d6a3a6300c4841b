#include "runtime/async_event.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace higgs::runtime {
namespace asio = boost::asio;

void AsyncEvent::notify() {
  set_ = true;
  timer_.cancel();
}

asio::awaitable<void> AsyncEvent::wait() {
  // g++ 12 compiles `while (!co_await …)` wrongly: the frame is read before it is written (seen with valgrind).
  for (;;) {
    auto waiting = wait_for(std::chrono::hours(24));
    const bool notified = co_await std::move(waiting);
    if (notified) co_return;
  }
}

asio::awaitable<bool> AsyncEvent::wait_for(std::chrono::nanoseconds most) {
  if (!set_) {
    timer_.expires_after(most);
    boost::system::error_code error;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, error));
    // Aborted without a notification: it is the coroutine that is cancelled.
    if (error && !set_) throw boost::system::system_error(asio::error::operation_aborted);
  }
  const bool was_set = set_;
  set_ = false;
  co_return was_set;
}

}  // namespace higgs::runtime
