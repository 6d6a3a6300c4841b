#include "net/upnp_mapper.h"

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "runtime/clock.h"

namespace higgs::net {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// How often a router that has no UPnP is looked for again, once it was not there this many times in a row.
constexpr std::chrono::seconds kUpnpAskAgain{120};
constexpr int kEagerSearches = 3;

}  // namespace

struct UpnpMapper::Shared {
  mutable std::mutex mutex;
  std::condition_variable wake;
  UpnpReport report;
  std::function<void()> changed;  ///< emptied when the mapper goes
  bool stop = false, look = false;
  bool mapped = false;  ///< there is, or may be in a moment, something to remove
  Instant deadline{};

  void publish(UpnpReport next) {
    const std::lock_guard lock(mutex);
    const bool same =
        report.external == next.external && report.lifetime == next.lifetime && report.failure == next.failure;
    report = std::move(next);
    if (!same && changed) changed();
  }

  /// False: it is time to stop.
  bool sleep(std::chrono::nanoseconds pause) {
    std::unique_lock lock(mutex);
    wake.wait_for(lock, pause, [this] { return stop || look; });
    look = false;
    return !stop;
  }

  /// False: it is time to stop, and nothing is mapped any more.
  bool begin_mapping() {
    const std::lock_guard lock(mutex);
    mapped = !stop;
    return mapped;
  }
  void end_mapping() {
    const std::lock_guard lock(mutex);
    mapped = false;
    wake.notify_all();
  }

  void run(UpnpGateway::Options options, std::chrono::seconds check);
};

void UpnpMapper::Shared::run(UpnpGateway::Options options, std::chrono::seconds check) {
  SystemRandom random;
  UpnpGateway gateway(std::move(options), random);
  bool found = false;
  std::optional<Endpoint> external;
  Instant renew_at{}, ends_at{};
  int searches = 0;
  for (;;) {
    if (!found) {
      found = gateway.find();
      searches = found ? 0 : searches + 1;
    }
    if (found && external) {
      const auto state = gateway.check();
      found = state != UpnpGateway::Check::kGone;
      if (state == UpnpGateway::Check::kForgotten || runtime::now().monotonic >= renew_at) external.reset();
    }
    // A router that is away for longer than the rest of the lease has nothing of ours.
    if (!found && external && runtime::now().monotonic >= ends_at) external.reset();
    if (found && !external) {
      if (!begin_mapping()) return;
      external = gateway.map();
      // A lease without end is renewed all the same: routers have been seen to drop those.
      const auto lease = gateway.lease() > 0s ? gateway.lease() : std::chrono::seconds(3600);
      renew_at = runtime::now().monotonic + lease / 2;
      ends_at = runtime::now().monotonic + lease;
    }
    if (!external) end_mapping();
    publish({external, external ? gateway.lease() : 0s, external ? std::string() : gateway.failure()});
    const bool eager = external || searches < kEagerSearches;
    if (!sleep(eager ? check : kUpnpAskAgain)) break;
  }
  if (external) gateway.unmap();
  end_mapping();
}

UpnpMapper::UpnpMapper(UpnpGateway::Options options, std::chrono::seconds check, std::function<void()> changed)
    : shared_(std::make_shared<Shared>()) {
  shared_->changed = std::move(changed);
  // Signals are for the program's main thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([shared = shared_, options = std::move(options), check]() mutable {
    shared->run(std::move(options), check);
  }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

UpnpMapper::~UpnpMapper() {
  std::unique_lock lock(shared_->mutex);
  shared_->changed = nullptr;
  shared_->stop = true;
  shared_->wake.notify_all();
  shared_->wake.wait_until(lock, shared_->deadline, [this] { return !shared_->mapped; });
}

UpnpReport UpnpMapper::report() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->report;
}

void UpnpMapper::refresh() {
  const std::lock_guard lock(shared_->mutex);
  shared_->look = true;
  shared_->wake.notify_all();
}

void UpnpMapper::release(Instant deadline) {
  const std::lock_guard lock(shared_->mutex);
  shared_->stop = true;
  shared_->deadline = deadline;
  shared_->wake.notify_all();
}

}  // namespace higgs::net
