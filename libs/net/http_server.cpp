#include "net/http_server.h"

#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "net/endpoint_convert.h"
#include "net/http_connection.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::net {

namespace asio = boost::asio;
namespace log = runtime::log;
using asio::ip::tcp;

namespace {

constexpr int kBacklog = 1024;
/// Out of descriptors or memory: time for other connections to end. Without it accept would spin.
constexpr std::chrono::milliseconds kAcceptPause{100};
/// What aborted handlers get to unwind before stop() gives them up.
constexpr std::chrono::seconds kUnwindTime{5};
constexpr std::chrono::milliseconds kStopPoll{5};

}  // namespace

class HttpServer::Impl : public std::enable_shared_from_this<HttpServer::Impl> {
 public:
  Impl(asio::any_io_executor e, std::optional<TlsContext> t, HttpHandlers handlers, HttpServerLimits limits,
       TrustedProxies proxies)
      : executor(std::move(e)), accept_strand(asio::make_strand(executor)), acceptor(accept_strand), tls(std::move(t)) {
    shared = std::make_shared<HttpServerShared>(std::move(handlers), limits, std::move(proxies));
  }

  struct Entry {
    asio::any_io_executor strand;
    std::unique_ptr<HttpConnection> connection;
    asio::cancellation_signal cancel;
    std::optional<IpAddress> address;  // that it counts for; a proxy is limited by all connections only
  };
  using Entries = std::list<std::shared_ptr<Entry>>;

  Result<Endpoint> listen(const Endpoint& where);
  asio::awaitable<void> accept_loop();
  void admit(tcp::socket socket);
  struct CurrentTls {
    std::optional<TlsContext> context;
    std::uint64_t generation;
  };
  CurrentTls current_tls() const;
  bool has_room() const;
  bool may_shake_hands(const IpAddress& address);
  bool count_in(Entry& entry, const IpAddress& address);
  void forget(const std::shared_ptr<Entry>& entry);
  std::size_t open() const;
  template <class F>
  void for_each_connection(F action);

  asio::any_io_executor executor;
  asio::strand<asio::any_io_executor> accept_strand;
  tcp::acceptor acceptor;
  std::shared_ptr<HttpServerShared> shared;

  mutable std::mutex mutex;
  std::optional<TlsContext> tls;                               // guarded by mutex, as is what changes its generation
  std::unordered_map<Entry*, std::shared_ptr<Entry>> entries;  // guarded by mutex
  std::unordered_map<IpAddress, std::size_t> per_address;      // guarded by mutex
};

Result<Endpoint> HttpServer::Impl::listen(const Endpoint& where) {
  const tcp::endpoint endpoint = to_asio(where);
  boost::system::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  // "::" takes IPv4 as well, whatever the system's default.
  if (!error && where.address.is_v6()) acceptor.set_option(asio::ip::v6_only(!where.address.is_unspecified()), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(kBacklog, error);
  tcp::endpoint bound;
  if (!error) bound = acceptor.local_endpoint(error);
  if (error) {
    boost::system::error_code ignored;
    acceptor.close(ignored);
    return error;
  }
  auto loop = [self = shared_from_this()] { return self->accept_loop(); };
  asio::co_spawn(accept_strand, std::move(loop), asio::detached);
  const auto address = from_asio(bound).address;
  return Endpoint{where.address.is_v6() ? where.address : address, bound.port()};
}

asio::awaitable<void> HttpServer::Impl::accept_loop() {
  const auto self = shared_from_this();
  while (acceptor.is_open()) {
    const asio::any_io_executor strand = asio::make_strand(executor);
    auto [error, socket] = co_await acceptor.async_accept(strand, asio::as_tuple(asio::use_awaitable));
    if (error == asio::error::operation_aborted || !acceptor.is_open()) co_return;
    if (!error) {
      admit(std::move(socket));
      continue;
    }
    if (error == asio::error::connection_aborted) continue;
    ++shared->counters.accept_errors;
    log::warn("accepting a connection failed", {{"error", error.message()}});
    asio::steady_timer pause(accept_strand, kAcceptPause);
    co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

bool HttpServer::Impl::has_room() const {
  const std::lock_guard lock(mutex);
  return !shared->draining && entries.size() < shared->limits.connections;
}

HttpServer::Impl::CurrentTls HttpServer::Impl::current_tls() const {
  const std::lock_guard lock(mutex);
  return {tls, shared->tls_generation};
}

bool HttpServer::Impl::may_shake_hands(const IpAddress& address) {
  const std::lock_guard lock(shared->handshakes_mutex);
  return shared->handshakes.has_room(runtime::now().monotonic, address);
}

bool HttpServer::Impl::count_in(Entry& entry, const IpAddress& client) {
  const IpAddress address = counted_address(client);
  const std::lock_guard lock(mutex);
  std::size_t& count = per_address[address];
  if (count >= shared->limits.connections_per_address) return false;
  ++count;
  entry.address = address;
  return true;
}

void HttpServer::Impl::admit(tcp::socket socket) {
  boost::system::error_code error;
  const auto remote = socket.remote_endpoint(error);
  if (error) return;
  const IpAddress address = from_asio(remote).address;
  auto entry = std::make_shared<Entry>();
  if (const auto& has_room = shared->handlers.has_room_for_connection; has_room && !has_room()) {
    ++shared->counters.refused_for_memory;
    return;
  }
  const auto [tls_now, generation] = current_tls();
  if (tls_now && !shared->proxies.include(address) && !may_shake_hands(address)) {
    ++shared->counters.refused_handshakes;
    return;
  }
  if (!has_room() || (!shared->proxies.include(address) && !count_in(*entry, address))) {
    ++shared->counters.refused;
    return;
  }
  ++shared->counters.accepted;
  socket.set_option(tcp::no_delay(true), error);
  entry->strand = socket.get_executor();
  TlsStream stream = tls_now ? TlsStream(std::move(socket), *tls_now) : TlsStream(std::move(socket));
  // Both outlive the connection's run: its end, below, holds them.
  auto admit_client = [this, raw = entry.get()](const IpAddress& client) { return count_in(*raw, client); };
  entry->connection = std::make_unique<HttpConnection>(std::move(stream), generation, shared, std::move(admit_client));
  {
    const std::lock_guard lock(mutex);
    entries.emplace(entry.get(), entry);
  }
  auto run = [entry] { return entry->connection->run(); };
  auto done = [self = shared_from_this(), entry](const std::exception_ptr&) { self->forget(entry); };
  asio::co_spawn(entry->strand, std::move(run), asio::bind_cancellation_slot(entry->cancel.slot(), std::move(done)));
}

void HttpServer::Impl::forget(const std::shared_ptr<Entry>& entry) {
  const std::lock_guard lock(mutex);
  entries.erase(entry.get());
  if (!entry->address) return;
  const auto count = per_address.find(*entry->address);
  if (count != per_address.end() && --count->second == 0) per_address.erase(count);
}

std::size_t HttpServer::Impl::open() const {
  const std::lock_guard lock(mutex);
  return entries.size();
}

template <class F>
void HttpServer::Impl::for_each_connection(F action) {
  const std::lock_guard lock(mutex);
  for (const auto& [key, entry] : entries) asio::post(entry->strand, [entry = entry, action] { action(*entry); });
}

HttpServer::HttpServer(asio::any_io_executor executor, std::optional<TlsContext> tls, HttpHandlers handlers,
                       HttpServerLimits limits, TrustedProxies proxies)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(tls), std::move(handlers), limits,
                                   std::move(proxies))) {}

HttpServer::~HttpServer() {
  impl_->shared->draining = true;
  asio::post(impl_->accept_strand, [impl = impl_] {
    boost::system::error_code ignored;
    impl->acceptor.close(ignored);
  });
  impl_->for_each_connection([](Impl::Entry& entry) {
    entry.connection->abort();
    entry.cancel.emit(asio::cancellation_type::terminal);
  });
}

Result<Endpoint> HttpServer::listen(const Endpoint& where) { return impl_->listen(where); }

void HttpServer::use(const TlsContext& tls) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->tls = tls;
    ++impl_->shared->tls_generation;
  }
  impl_->for_each_connection([](Impl::Entry& entry) { entry.connection->check_generation(); });
}

asio::awaitable<void> HttpServer::stop(std::chrono::milliseconds grace) {
  const auto impl = impl_;
  impl->shared->draining = true;
  asio::post(impl->accept_strand, [impl] {
    boost::system::error_code ignored;
    impl->acceptor.close(ignored);
  });
  impl->for_each_connection([](Impl::Entry& entry) { entry.connection->drain(); });

  asio::steady_timer timer(co_await asio::this_coro::executor);
  auto deadline = std::chrono::steady_clock::now() + grace;
  bool aborted = false;
  while (impl->open() > 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      if (aborted) {
        log::warn("connections did not end when aborted", {{"connections", impl->open()}});
        co_return;
      }
      aborted = true;
      deadline = std::chrono::steady_clock::now() + kUnwindTime;
      impl->for_each_connection([](Impl::Entry& entry) {
        entry.connection->abort();
        entry.cancel.emit(asio::cancellation_type::terminal);
      });
    }
    timer.expires_after(kStopPoll);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

HttpServerStats HttpServer::stats() const {
  const auto& counters = impl_->shared->counters;
  return {.accepted = counters.accepted,
          .refused = counters.refused,
          .handshake_failures = counters.handshake_failures,
          .requests = counters.requests,
          .timeouts = counters.timeouts,
          .bad_requests = counters.bad_requests,
          .bad_proxy_headers = counters.bad_proxy_headers,
          .accept_errors = counters.accept_errors,
          .refused_handshakes = counters.refused_handshakes,
          .refused_for_memory = counters.refused_for_memory,
          .held = counters.held,
          .open = impl_->open()};
}

}  // namespace higgs::net
