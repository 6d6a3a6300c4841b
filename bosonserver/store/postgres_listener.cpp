#include "bosonserver/store/postgres_listener.h"

#include <stdexcept>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>

#include "runtime/backoff.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

namespace log = runtime::log;
using Clock = SocketWatchdog::Clock;
using namespace std::chrono_literals;

constexpr runtime::BackoffPolicy kListenAgain{.first = 50ms, .early_cap = 1s, .cap = 1s};

}  // namespace

PostgresListener::PostgresListener(Dial dial, SocketWatchdog& watchdog, Handler handler)
    : dial_(std::move(dial)),
      watchdog_(watchdog),
      handler_(std::move(handler)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (stop_.get() < 0) throw std::runtime_error("cannot listen to the store: too many open files");
  thread_ = std::thread([this] { run(); });
}

PostgresListener::~PostgresListener() {
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
}

bool PostgresListener::wait(int socket, std::chrono::milliseconds time) const {
  pollfd polled[2] = {{stop_.get(), POLLIN, 0}, {socket, POLLIN, 0}};
  ::poll(polled, 2, static_cast<int>(time.count()));
  return polled[0].revents == 0;
}

void PostgresListener::run() {
  SystemRandom random;
  runtime::Backoff backoff(kListenAgain);
  while (!stopping()) {
    try {
      const auto connection = dial_();
      backoff.reset();
      listen(*connection);
    } catch (const std::runtime_error& error) {
      if (!std::exchange(lost_, true)) log::warn("the store's events are not heard", {{"error", error.what()}});
    }
    wait(-1, backoff.next(runtime::now().monotonic, random));
  }
}

void PostgresListener::listen(PostgresConnection& connection) {
  {
    const SocketWatchdog::Watch watch(watchdog_, connection.socket(), Clock::now() + kStoreDeadline);
    connection.listen();
  }
  if (std::exchange(lost_, false)) log::info("the store's events are heard again");
  // Rounded up, and never nothing.
  handler_({{}, std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - heard_) + 1s});
  while (wait(connection.socket(), kSilence)) {
    for (auto& text : hear(connection)) handler_({std::move(text), std::nullopt});
  }
}

std::vector<std::string> PostgresListener::hear(PostgresConnection& connection) {
  const SocketWatchdog::Watch watch(watchdog_, connection.socket(), Clock::now() + kStoreDeadline);
  if (connection.quiet()) connection.execute("SELECT 1");
  auto texts = connection.notifications();
  heard_ = Clock::now();
  return texts;
}

}  // namespace higgs::boson
