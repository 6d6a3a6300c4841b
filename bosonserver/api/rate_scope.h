// Whose requests are counted, and how many were refused for that. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace higgs::boson {

enum class RateScope {
  kAddress,  ///< an IPv4 address or an IPv6 /64
  kAccount,  ///< all its logins and API keys
  kNode,
  kLink,  ///< a node, session or server that opens links to the relay
};
inline constexpr std::array<std::string_view, 4> kRateScopes{"address", "account", "node", "link"};

class RateRefusals {
 public:
  void count(RateScope scope) noexcept { ++counts_[static_cast<std::size_t>(scope)]; }
  std::uint64_t of(RateScope scope) const noexcept { return counts_[static_cast<std::size_t>(scope)]; }

 private:
  std::array<std::atomic<std::uint64_t>, kRateScopes.size()> counts_{};
};

}  // namespace higgs::boson
