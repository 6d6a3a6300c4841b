// Whether a session-ready means that the node knows nothing, or not everything, of what our traversal told it.
#pragma once

#include <cstdint>
#include <utility>

namespace higgs::vpn {

class TraversalRenewal {
 public:
  enum class Need : std::uint8_t {
    kNothing,
    kTellAgain,  ///< the node has its part of the traversal, but what was told while it was away is lost
    kBeginAnew,  ///< the node begins from nothing
  };

  /// What is told from here on reaches nobody, until it is ready.
  void node_away() noexcept { away_ = true; }
  /// `fresh`: as in session-ready. At the first one the traversal is as new as the node's.
  Need on_ready(bool fresh) noexcept {
    const bool before = std::exchange(ready_before_, true), away = std::exchange(away_, false);
    if (fresh) return before || away ? Need::kBeginAnew : Need::kNothing;
    return away ? Need::kTellAgain : Need::kNothing;
  }

 private:
  bool ready_before_ = false, away_ = false;
};

}  // namespace higgs::vpn
