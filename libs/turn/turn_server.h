// The TURN server's state (RFC 8656): allocations, permissions, channels, quotas. Sans-IO: it is handed what arrives on
// the client's side (by 5-tuple) and on the relayed ports, and answers with what to send and which ports to open.
//
// Threads: none of its own. Bounds: ServerLimits.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/time.h"
#include "stun/integrity.h"

namespace higgs::turn {

struct ServerLimits {
  std::size_t allocations = 10000;
  std::size_t allocations_per_user = 4;
  std::size_t permissions = 32;  ///< of an allocation
  std::size_t channels = 32;
  std::chrono::seconds default_lifetime{600}, max_lifetime{3600};
  std::chrono::seconds permission_lifetime{300}, channel_lifetime{600}, nonce_lifetime{3600}, reservation_lifetime{30};
  std::optional<double> rate_mbps;  ///< of an allocation, each way
};

enum class Transport : std::uint8_t { kUdp, kTcp, kTls };
struct FiveTuple {
  Transport transport = Transport::kUdp;
  Endpoint client, server;
  friend auto operator<=>(const FiveTuple&, const FiveTuple&) = default;
};

/// What the credentials and the operator allow.
class Authority {
 public:
  virtual ~Authority() = default;
  /// The password of a user who may allocate now; nullopt: none such, or expired.
  virtual std::optional<SecretString> password(WallTime now, std::string_view username) = 0;
  /// Whether this user's allocation may exchange packets with that address.
  virtual bool permits(std::string_view username, const IpAddress& peer) = 0;
};

using RelayId = std::uint64_t;

/// What the owner does for it: real sockets in the server, a table in tests.
class ServerOutput {
 public:
  virtual ~ServerOutput() = default;
  /// Opens a UDP port on the relay's address of that family; `even`: of even number, and the next one is kept too if
  /// `reserve`. `reserved`: the one kept under this id before.
  struct Opened {
    RelayId id = 0;
    Endpoint relayed;
    std::optional<RelayId> next;  ///< kept for a reservation
  };
  virtual std::optional<Opened> open_relay(const FiveTuple& client, bool ipv6, bool even, bool reserve) = 0;
  virtual std::optional<Endpoint> claim_reserved(RelayId id) = 0;
  virtual void close_relay(RelayId id) = 0;
  virtual void send_to_client(const FiveTuple& client, ByteView bytes) = 0;
  /// `dont_fragment`: with the DF bit set, and never in fragments; else it may be cut on the way.
  virtual void send_to_peer(RelayId id, const Endpoint& peer, ByteView bytes, bool dont_fragment) = 0;
  /// Whether a client that has not yet shown that it receives what is sent to it may have one more answer: the rate
  /// limit of each source.
  virtual bool may_answer_unproven(const FiveTuple& client) = 0;
};

struct ServerCounters {
  std::uint64_t allocations = 0, refreshes = 0, expired = 0, deleted = 0, revoked = 0;
  std::uint64_t permissions = 0, channels = 0;  ///< requests that succeeded
  // Requests by the error they were answered with, and those that were not answered at all.
  std::uint64_t bad_request = 0, unauthorized = 0, forbidden_peer = 0, unknown_attribute = 0, mismatch = 0,
                stale_nonce = 0, unsupported_family = 0, wrong_user = 0, unsupported_transport = 0, peer_family = 0,
                over_quota = 0, no_capacity = 0;
  std::uint64_t unanswered = 0;  ///< over the rate of an unproven source, or the answer would be too long
  std::uint64_t relayed_packets = 0, relayed_bytes = 0;  ///< payload, both ways
  std::uint64_t dropped_no_permission = 0, dropped_rate = 0;
  std::uint64_t dropped_malformed = 0;  ///< ChannelData and indications of no use, also those for no allocation
};

/// An answer to a source that has proven nothing is at most this many times the request.
inline constexpr std::size_t kMaxUnprovenAmplification = 5;
/// With a longer one a 401 would not fit.
inline constexpr std::size_t kMaxRealmBytes = 64;

class Server {
 public:
  struct Options {
    std::string realm = "higgs";  ///< kMaxRealmBytes at most
    std::string software = "bosonserver";
    ServerLimits limits;
    bool ipv4 = true, ipv6 = false;  ///< families of relayed addresses on offer
  };
  Server(Options options, Authority& authority, ServerOutput& output, RandomSource& random);
  ~Server();

  /// One STUN message or ChannelData from a client (of a stream: one whole message). False: not for TURN (a Binding
  /// request, or rubbish): the caller's. It may call back into `output`, which may not call back in here.
  bool on_client(Now now, const FiveTuple& from, ByteView message);
  void on_peer(Now now, RelayId relay, const Endpoint& peer, ByteView payload);
  /// A stream ended: its allocation goes with it.
  void on_client_gone(const FiveTuple& client);
  /// The user's session has ended: so do its allocations.
  void revoke(std::string_view username);

  void handle_timeout(Now now);
  std::optional<Instant> poll_timeout() const;
  std::size_t allocations() const noexcept;
  bool stands(const FiveTuple& client) const noexcept;
  const ServerCounters& counters() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// RFC 8656, section 12.5: over a stream, messages follow one another, ChannelData padded to 4 bytes. How long the
/// message at the front is; 0: not yet known; nullopt: neither STUN nor ChannelData.
std::optional<std::size_t> stream_message_bytes(ByteView buffered) noexcept;

}  // namespace higgs::turn
