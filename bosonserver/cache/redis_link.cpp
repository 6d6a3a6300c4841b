#include "bosonserver/cache/redis_link.h"

#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "runtime/async_event.h"
#include "runtime/backoff.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::boson {

namespace asio = boost::asio;
namespace log = runtime::log;

namespace {

/// Redis starts within milliseconds, and a try is cheap for both: it is found again soon.
constexpr runtime::BackoffPolicy kRetry{
    .first = std::chrono::milliseconds(50),
    .factor = 2.0,
    .early_cap = std::chrono::milliseconds(500),
    .early = std::chrono::seconds(60),
    .cap = std::chrono::milliseconds(2'000),
};
/// A connection that stood for less does not take the back-off back: Redis may accept and then close, again and again.
constexpr std::chrono::seconds kSteady{2};

std::optional<net::TlsContext> tls_of(const RedisOptions& options) {
  if (!options.url.tls) return std::nullopt;
  auto context = net::TlsContext::client(options.trust);
  if (!context)
    throw std::runtime_error("cannot use " + options.trust.ca_file.value_or("the system's certificates") +
                             " to trust Redis: " + context.error().message());
  return std::move(*context);
}

}  // namespace

class RedisLink::Impl {
 public:
  Impl(std::string p, RedisOptions o, RandomSource& r, Serve s)
      : purpose(std::move(p)), options(std::move(o)), random(r), serve(std::move(s)), tls(tls_of(options)) {}

  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void stop() {
    if (!thread.joinable()) return;
    asio::post(io, [this] {
      stopping = true;
      if (stream != nullptr) stream->close();
      wake.notify();
    });
    thread.join();
  }

  void start() {
    auto running = run();
    // What it throws is a programming error or the end of memory, and ends the program.
    asio::co_spawn(io, std::move(running), [](const std::exception_ptr& error) {
      if (error) std::rethrow_exception(error);
    });
    thread = std::thread([this] { io.run(); });
  }

  asio::awaitable<void> run() {
    while (!stopping) {
      RedisStream connection(io.get_executor(), options, tls ? &*tls : nullptr);
      stream = &connection;
      auto living = live(connection);
      const ErrorCode ended = co_await std::move(living);
      stream = nullptr;
      if (stopping) co_return;
      went_down(ended);
      auto pause = wake.wait_for(backoff.next(runtime::now().monotonic, random));
      co_await std::move(pause);
    }
  }

  asio::awaitable<ErrorCode> live(RedisStream& connection) {
    auto opening = connection.open();
    const auto opened = co_await std::move(opening);
    if (!opened) co_return opened.error();
    came_up();
    const auto since = runtime::now().monotonic;
    auto serving = serve(connection);
    const ErrorCode ended = co_await std::move(serving);
    if (runtime::now().monotonic - since >= kSteady) backoff.reset();
    co_return ended;
  }

  void came_up() {
    if (ever_up) ++reconnects;
    log::info(ever_up ? "Redis is back" : "Redis is connected", {{"redis", options.url.to_string()}, {"for", purpose}});
    ever_up = up = true;
  }

  /// Once for each outage, and once for each new reason of it.
  void went_down(const ErrorCode& error) {
    if (!up && error == reason) return;
    log::warn("Redis is not connected; trying again until it is",
              {{"redis", options.url.to_string()}, {"for", purpose}, {"error", error.message()}});
    up = false;
    reason = error;
  }

  const std::string purpose;
  const RedisOptions options;
  RandomSource& random;
  const Serve serve;
  const std::optional<net::TlsContext> tls;
  asio::io_context io{1};
  runtime::AsyncEvent wake{io.get_executor()};
  runtime::Backoff backoff{kRetry};
  RedisStream* stream = nullptr;
  bool stopping = false, ever_up = false, up = false;
  ErrorCode reason;
  std::atomic<std::uint64_t> reconnects = 0;
  std::thread thread;
};

RedisLink::RedisLink(std::string purpose, RedisOptions options, RandomSource& random, Serve serve)
    : impl_(std::make_unique<Impl>(std::move(purpose), std::move(options), random, std::move(serve))) {}
RedisLink::~RedisLink() = default;

void RedisLink::start() { impl_->start(); }
void RedisLink::stop() { impl_->stop(); }
asio::any_io_executor RedisLink::executor() const { return impl_->io.get_executor(); }
const RedisOptions& RedisLink::options() const noexcept { return impl_->options; }
std::uint64_t RedisLink::reconnects() const noexcept { return impl_->reconnects; }

}  // namespace higgs::boson
