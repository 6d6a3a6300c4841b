#include "net/tcp_connect.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/socket.h>

#include "net/endpoint_convert.h"

namespace higgs::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

/// A timer that is also a condition: whoever changes what is waited for cancels it.
class ConnectWait {
 public:
  ConnectWait(const asio::any_io_executor& executor, ConnectCancel& cancel)
      : timer_(std::make_shared<asio::steady_timer>(executor)), cancel_(cancel) {
    cancel_.wake_ = [timer = timer_] { timer->cancel(); };
  }
  ~ConnectWait() { cancel_.wake_ = nullptr; }
  ConnectWait(const ConnectWait&) = delete;
  ConnectWait& operator=(const ConnectWait&) = delete;

  std::shared_ptr<asio::steady_timer> timer() const { return timer_; }
  bool cancelled() const noexcept { return cancel_.cancelled(); }
  asio::awaitable<void> until(Clock::time_point when) {
    timer_->expires_at(when);
    co_await timer_->async_wait(asio::as_tuple(asio::use_awaitable));
  }

 private:
  std::shared_ptr<asio::steady_timer> timer_;
  ConnectCancel& cancel_;
};

namespace {

struct Lookup {
  explicit Lookup(const asio::any_io_executor& executor) : resolver(executor) {}
  tcp::resolver resolver;
  bool done = false;
  boost::system::error_code error;
  std::vector<IpAddress> addresses;
};

struct Race {
  ~Race() { close_all(); }
  void close_all() noexcept {
    boost::system::error_code ignored;
    for (auto& socket : sockets) socket->close(ignored);
  }
  std::vector<std::unique_ptr<tcp::socket>> sockets;
  std::optional<std::size_t> winner;
  std::size_t pending = 0;
  boost::system::error_code last = asio::error::host_unreachable;
};

/// Attempts end when whoever runs the race leaves it, however that happens.
struct CloseAtEnd {
  std::shared_ptr<Race> race;
  ~CloseAtEnd() { race->close_all(); }
};

boost::system::error_code prepare(tcp::socket& socket, const tcp::endpoint& endpoint,
                                  const std::optional<std::uint32_t>& mark) {
  boost::system::error_code error;
  socket.open(endpoint.protocol(), error);
  if (error) return error;
  if (mark && ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_MARK, &*mark, sizeof(*mark)) != 0)
    return errno_code();
  socket.set_option(tcp::no_delay(true), error);
  return error;
}

void start(const std::shared_ptr<Race>& race, const asio::any_io_executor& executor, const Endpoint& where,
           const std::optional<std::uint32_t>& mark, const std::shared_ptr<asio::steady_timer>& wake) {
  auto& socket = *race->sockets.emplace_back(std::make_unique<tcp::socket>(executor));
  const tcp::endpoint endpoint = to_asio(where);
  if (const auto error = prepare(socket, endpoint, mark)) {
    race->last = error;
    return;
  }
  ++race->pending;
  socket.async_connect(endpoint,
                       [race, wake, index = race->sockets.size() - 1](const boost::system::error_code& error) {
                         --race->pending;
                         if (error)
                           race->last = error;
                         else if (!race->winner)
                           race->winner = index;
                         wake->cancel();
                       });
}

}  // namespace

std::vector<IpAddress> interleave_families(std::vector<IpAddress> addresses) {
  if (addresses.empty()) return addresses;
  const bool first_v6 = addresses.front().is_v6();
  const auto second =
      std::stable_partition(addresses.begin(), addresses.end(), [&](const auto& a) { return a.is_v6() == first_v6; });
  std::vector<IpAddress> mixed;
  auto a = addresses.begin();
  auto b = second;
  while (a != second || b != addresses.end()) {
    if (a != second) mixed.push_back(*a++);
    if (b != addresses.end()) mixed.push_back(*b++);
  }
  return mixed;
}

asio::awaitable<Result<std::vector<IpAddress>>> resolve_host(asio::any_io_executor executor, std::string host,
                                                             std::chrono::milliseconds deadline,
                                                             ConnectCancel& cancel) {
  ConnectWait wait(executor, cancel);
  const auto lookup = std::make_shared<Lookup>(executor);
  auto done = [lookup, wake = wait.timer()](const boost::system::error_code& error,
                                            const tcp::resolver::results_type& results) {
    lookup->done = true;
    lookup->error = error;
    for (const auto& entry : results) lookup->addresses.push_back(from_asio(entry.endpoint()).address);
    wake->cancel();
  };
  lookup->resolver.async_resolve(host, "", tcp::resolver::address_configured, std::move(done));
  const auto end = Clock::now() + deadline;
  while (!lookup->done && !wait.cancelled() && Clock::now() < end) co_await wait.until(end);
  if (!lookup->done) {
    lookup->resolver.cancel();
    co_return ErrorCode(wait.cancelled() ? asio::error::operation_aborted : asio::error::timed_out);
  }
  if (lookup->error) co_return lookup->error;
  co_return lookup->addresses;
}

asio::awaitable<Result<tcp::socket>> connect_any(asio::any_io_executor executor, std::vector<Endpoint> endpoints,
                                                 std::optional<std::uint32_t> mark, std::chrono::milliseconds deadline,
                                                 ConnectCancel& cancel) {
  ConnectWait wait(executor, cancel);
  const auto race = std::make_shared<Race>();
  const CloseAtEnd close_at_end{race};
  const auto end = Clock::now() + deadline;
  std::size_t next = 0;
  while (!race->winner) {
    if (wait.cancelled()) co_return ErrorCode(asio::error::operation_aborted);
    if (Clock::now() >= end) co_return ErrorCode(asio::error::timed_out);
    if (next < endpoints.size()) start(race, executor, endpoints[next++], mark, wait.timer());
    if (race->pending == 0 && next == endpoints.size()) co_return race->last;
    if (race->pending == 0) continue;
    co_await wait.until(next < endpoints.size() ? std::min(end, Clock::now() + kConnectionAttemptDelay) : end);
  }
  co_return std::move(*race->sockets[*race->winner]);
}

}  // namespace higgs::net
