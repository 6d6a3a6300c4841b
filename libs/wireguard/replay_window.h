// Which counters of a session were received: the greatest, and a bitmap of the kReplayWindow behind it, as a ring of
// words that is cleared word by word as it moves on (RFC 6479).
#pragma once

#include <array>
#include <cstdint>

#include "wireguard/constants.h"

namespace higgs::wireguard {

class ReplayWindow {
 public:
  /// Whether a packet with this counter may be new. A look before the expensive opening; changes nothing.
  bool may_accept(std::uint64_t counter) const noexcept {
    if (counter >= kRejectAfterMessages) return false;
    if (counter >= end_) return true;
    return end_ - 1 - counter < kReplayWindow && (words_[word_of(counter)] & bit_of(counter)) == 0;
  }

  /// Takes the counter of an authenticated packet; false if it had been taken or is too old.
  bool accept(std::uint64_t counter) noexcept {
    if (!may_accept(counter)) return false;
    if (counter >= end_) {
      const std::uint64_t from = end_ == 0 ? 0 : (end_ - 1) / kWordBits + 1;
      const std::uint64_t to = counter / kWordBits;
      // Words that the greatest counter enters anew; a jump over the whole ring clears each once.
      for (std::uint64_t i = 0; from + i <= to && i < kWords; ++i) words_[(from + i) % kWords] = 0;
      end_ = counter + 1;
    }
    words_[word_of(counter)] |= bit_of(counter);
    return true;
  }

 private:
  static constexpr std::uint64_t kWordBits = 64;
  // One more than the window needs, since its ends lie inside words.
  static constexpr std::uint64_t kWords = kReplayWindow / kWordBits + 1;

  static std::size_t word_of(std::uint64_t counter) noexcept { return (counter / kWordBits) % kWords; }
  static std::uint64_t bit_of(std::uint64_t counter) noexcept { return std::uint64_t{1} << (counter % kWordBits); }

  std::uint64_t end_ = 0;  // one above the greatest counter taken
  std::array<std::uint64_t, kWords> words_{};
};

}  // namespace higgs::wireguard
