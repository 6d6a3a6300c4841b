// How many TLS handshakes an address may begin: a rate, since each costs processor time, and how many at a time, since
// each holds a session's memory until it ends. An address is an IPv4 address or an IPv6 /64. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "base/ip.h"
#include "base/time.h"
#include "base/token_bucket.h"

namespace higgs::net {

/// Whom an address counts for: itself, or its IPv6 /64, of which one customer has at least one.
IpAddress counted_address(const IpAddress& address);

struct HandshakeLimits {
  double per_second = 50;
  double burst = 500;           ///< an office behind one address comes back at once after its server's restart
  std::size_t at_a_time = 512;  ///< begun and not ended
  double fault = 20;            ///< what a connection costs besides with which nothing could be done
  std::size_t addresses = 65536;
};

class HandshakeLimiter {
 public:
  explicit HandshakeLimiter(const HandshakeLimits& limits) : limits_(limits) {}

  /// Whether this address may begin one more now; then end() follows. While the table is full, new addresses share one
  /// rate.
  bool begin(Instant now, const IpAddress& address);
  void end(const IpAddress& address) noexcept;
  /// Whether begin() would say yes; begins nothing.
  bool has_room(Instant now, const IpAddress& address);
  /// A connection of this address was good for nothing: it costs HandshakeLimits::fault, if need be on credit, up to
  /// another burst.
  void blame(Instant now, const IpAddress& address);
  std::size_t tracked() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    TokenBucket bucket;
    std::size_t under_way = 0;
  };
  /// nullptr: the table is full.
  Entry* entry_of(Instant now, const IpAddress& key);
  void forget_idle(Instant now);

  const HandshakeLimits limits_;
  std::unordered_map<IpAddress, Entry> entries_;
  std::optional<TokenBucket> others_;
  Instant swept_{};
};

}  // namespace higgs::net
