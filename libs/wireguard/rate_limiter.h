// A token bucket per source of handshake messages: an IPv4 address, an IPv6 /64, or a relay path.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/time.h"
#include "wireguard/packet.h"

namespace higgs::wireguard {

class RateLimiter {
 public:
  explicit RateLimiter(std::size_t max_sources) : max_sources_(max_sources) {}

  /// Takes a token of the source. False without one, and for new sources while max_sources are tracked.
  bool allow(Instant now, const PeerAddress& from);
  std::size_t sources() const noexcept { return buckets_.size(); }

 private:
  struct Source {
    std::uint64_t kind = 0;  // 0: IPv4, 1: IPv6, 2: relay
    std::uint64_t value = 0;
    friend bool operator==(const Source&, const Source&) = default;
  };
  struct SourceHash {
    std::size_t operator()(const Source& source) const noexcept;
  };
  struct Bucket {
    std::chrono::nanoseconds credit{0};
    Instant last;
  };

  static Source source_of(const PeerAddress& from) noexcept;
  void forget_idle(Instant now);

  std::size_t max_sources_;
  std::unordered_map<Source, Bucket, SourceHash> buckets_;
  Instant last_sweep_{};
};

}  // namespace higgs::wireguard
