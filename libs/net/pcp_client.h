// One UDP port mapped by PCP (RFC 6887): asks, repeats, renews at half the lifetime, and watches the server's epoch,
// since a router that restarted has forgotten the mapping. Sans-IO; datagrams go to and come from the gateway's port
// 5351, and the caller hands in none from anywhere else.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/random.h"
#include "net/pcp.h"

namespace higgs::net::pcp {

struct Mapping {
  Endpoint external;
  std::chrono::seconds lifetime{0};
  Instant until{};
};

class Client {
 public:
  struct Options {
    IpAddress address;  ///< this host's, as the gateway sees it
    std::uint16_t port = 0;
    std::chrono::seconds lifetime{3600};
    std::chrono::seconds check{5};  ///< how often the epoch is looked at while the mapping stands
  };
  // Constants of our choosing.
  /// Without any answer to this many requests the router is taken to have no PCP, and asked again much later.
  static constexpr unsigned kAttempts = 4;
  static constexpr std::chrono::seconds kAskAgain{120};
  /// Whatever a server grants or refuses for, it is asked again within these.
  static constexpr std::chrono::seconds kShortest{30}, kLongest{24 * 3600}, kLongestRefusal{1800};

  Client(Instant now, const Options& options, RandomSource& random);

  void handle_packet(Instant now, ByteView datagram);
  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const noexcept { return released_ ? release_again_ : next_; }
  std::optional<Bytes> poll_transmit();

  /// The router may have forgotten: asks for the mapping at once.
  void refresh(Instant now);
  /// Asks for the mapping's removal, until release_done().
  void release(Instant now);
  bool release_done() const noexcept { return release_done_; }

  const std::optional<Mapping>& mapping() const noexcept { return mapping_; }
  /// Why there is no mapping; empty while that is not known yet.
  const std::string& failure() const noexcept { return failure_; }
  /// The router says so: it is behind another NAT, or offline.
  bool no_outside_address() const noexcept { return no_outside_address_; }
  /// How often the router was seen to have lost its state.
  std::uint64_t restarts() const noexcept { return restarts_; }

 private:
  void ask(Instant now);
  void handle_map(Instant now, const Response& response);
  void refuse(Instant now, const Response& response);
  std::chrono::nanoseconds jittered(std::chrono::nanoseconds wait);

  Options options_;
  RandomSource& random_;
  Nonce nonce_;
  EpochCheck epoch_;
  Instant next_;
  std::optional<Instant> renew_at_;
  std::optional<Mapping> mapping_;
  std::optional<Bytes> out_;
  Endpoint wished_;
  unsigned unanswered_ = 0;
  std::string failure_;
  std::uint64_t restarts_ = 0;
  bool no_outside_address_ = false, released_ = false, release_done_ = false;
  std::optional<Instant> release_again_;
};

}  // namespace higgs::net::pcp
