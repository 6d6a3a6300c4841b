// What a server with too much to do refuses: new work before work that stands, the least important first. From what was
// measured of it follows a level; at each level one more class of requests is refused. It rises at once and comes down
// a step at a time, when the load has been well below for a while: a server that lets everybody in again at the first
// good moment is overloaded at the next.
//
// What stands on the relay is no request, and never refused.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

#include "base/time.h"

namespace higgs::boson {

/// Classes of requests, the least important first.
enum class Work {
  kAnonymous,  ///< of whom nobody knows: challenges, registrations, logins, whatever has no endpoint
  kList,       ///< lists, and the administration of accounts
  kRoute,      ///< new sessions
  kRenewal,    ///< what a standing node or session lives by, and what operators act with
  kAlways,     ///< never refused: health
};
inline constexpr std::size_t kRefusableWork = 4;

/// "anonymous", …
std::string_view to_string(Work work) noexcept;

struct Load {
  std::chrono::nanoseconds loop_lag{0};  ///< how late the control plane comes to what is due
  double queue = 0;                      ///< calls that wait for a thread, as a share of what may wait
  double memory = 0;                     ///< as a share of what is allowed
};

struct OverloadPolicy {
  template <class T>
  using Steps = std::array<T, kRefusableWork>;

  /// From which load on anonymous work, lists, routes and renewals are refused.
  Steps<std::chrono::milliseconds> loop_lag{{std::chrono::milliseconds(250), std::chrono::milliseconds(500),
                                             std::chrono::milliseconds(1000), std::chrono::milliseconds(2000)}};
  Steps<double> queue{{0.25, 0.5, 0.75, 0.9}};
  Steps<double> memory{{0.75, 0.8, 0.85, 0.9}};
  /// Below this part of a step, for so long, and it is left.
  double release = 0.8;
  std::chrono::milliseconds hold{1000};
};

/// One thread.
class OverloadGuard {
 public:
  explicit OverloadGuard(const OverloadPolicy& policy = {}) : policy_(policy) {}

  void measure(Instant now, const Load& load);
  /// How many classes are refused: 0 (none) to kRefusableWork.
  std::size_t level() const noexcept { return level_; }
  /// The least of the last measurements: a machine that stood still for a moment is not overloaded.
  std::chrono::nanoseconds loop_lag() const noexcept;

 private:
  static constexpr std::size_t kLags = 5;

  /// The level that this load alone asks for, with every step at that part of it.
  std::size_t level_of(const Load& load, double part) const;

  OverloadPolicy policy_;
  std::size_t level_ = 0;
  std::optional<Instant> calm_since_;
  std::array<std::chrono::nanoseconds, kLags> lags_{};
  std::size_t next_lag_ = 0;
};

/// Whether a request of that class is refused at that level.
constexpr bool refused_at(std::size_t level, Work work) noexcept { return static_cast<std::size_t>(work) < level; }

}  // namespace higgs::boson
