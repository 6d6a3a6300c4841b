#include "bosonserver/cluster/process_load.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <sys/resource.h>

namespace higgs::boson {
namespace {

std::chrono::nanoseconds of(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

}  // namespace

double ProcessLoad::percent(Instant now) {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto used = of(usage.ru_utime) + of(usage.ru_stime);
  const auto worked = used - std::exchange(used_, used);
  const auto before = std::exchange(asked_, now);
  if (before == Instant{} || now <= before) return 0;
  const auto could = (now - before) * std::max(1u, std::thread::hardware_concurrency());
  return std::clamp(100.0 * static_cast<double>(worked.count()) / static_cast<double>(could.count()), 0.0, 100.0);
}

}  // namespace higgs::boson
