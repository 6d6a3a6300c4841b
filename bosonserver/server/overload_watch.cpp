#include "bosonserver/server/overload_watch.h"

#include <utility>

#include "runtime/log.h"
#include "runtime/memory_use.h"

namespace higgs::boson {
namespace {

constexpr std::chrono::milliseconds kMeasureEvery{100};
constexpr std::chrono::seconds kReturnEvery{1};
/// From which share of the limit on freed memory is given back.
constexpr double kReturnFrom = 0.6;

}  // namespace

OverloadWatch::OverloadWatch(const boost::asio::any_io_executor& executor, OverloadGate& gate,
                             const OverloadPolicy& policy, std::size_t memory_limit_bytes, Sources sources)
    : timer_(executor),
      gate_(gate),
      guard_(policy),
      memory_limit_bytes_(memory_limit_bytes),
      sources_(std::move(sources)) {
  timer_.expires_after(kMeasureEvery);
  arm();
}

void OverloadWatch::arm() {
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    const Instant now = std::chrono::steady_clock::now();
    measure(now, now - timer_.expiry());
    timer_.expires_after(kMeasureEvery);
    arm();
  });
}

void OverloadWatch::measure(Instant now, std::chrono::nanoseconds lag) {
  const auto used = sources_.memory_bytes ? sources_.memory_bytes() : runtime::resident_bytes();
  Load load{lag, sources_.queue(), static_cast<double>(used) / static_cast<double>(memory_limit_bytes_)};
  const auto before = guard_.level();
  guard_.measure(now, load);
  load.loop_lag = guard_.loop_lag();
  gate_.set(guard_.level(), load);
  if (guard_.level() != before)
    runtime::log::warn("the load has changed what is refused",
                       {{"level", guard_.level()},
                        {"lag_ms", std::chrono::duration<double, std::milli>(load.loop_lag).count()},
                        {"queue", load.queue},
                        {"memory", load.memory}});
  if (load.memory < kReturnFrom || now - returned_ < kReturnEvery) return;
  returned_ = now;
  runtime::return_free_memory();
}

}  // namespace higgs::boson
