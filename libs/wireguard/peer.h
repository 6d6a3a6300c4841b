// What the engine keeps for one peer.
#pragma once

#include <deque>
#include <optional>
#include <set>

#include "base/ip.h"
#include "wireguard/cookies.h"
#include "wireguard/handshake.h"
#include "wireguard/index_table.h"
#include "wireguard/packet.h"
#include "wireguard/session.h"
#include "wireguard/timers.h"

namespace higgs::wireguard {

struct Peer {
  explicit Peer(const crypto::PublicKey& key) : remote{key, {}, std::nullopt}, cookies(key) {}

  RemoteIdentity remote;
  CookieJar cookies;
  std::optional<PeerAddress> address;
  bool pinned = false;  ///< what it sends does not move it
  std::chrono::seconds persistent_keepalive{0};
  std::set<IpPrefix> allowed_ips;

  /// Our initiation that waits for its response. Initiations of the peer leave it alone, so that two that cross both
  /// succeed.
  struct Initiation {
    InitiatorState state;
    IndexTable::Lease index;
  };
  std::optional<Initiation> initiation;

  /// An authenticated packet came from there: section 2.1, where the peer is not pinned.
  void seen_at(const PeerAddress& from) {
    if (address == from || (pinned && address)) return;
    address = from;
  }

  KeyPairs key_pairs;
  PeerTimers timers;

  std::optional<Instant> last_handshake_sent;  ///< initiation or response
  std::optional<Instant> last_initiation_consumed;
  std::optional<WallTime> last_handshake_completed;
  Tai64n last_timestamp_sent;
  Tai64n last_timestamp_received;
  /// Section 6.2: an initiator that only receives asks once for new keys before the present ones expire.
  bool sent_last_minute_handshake = false;

  /// Whole packets with the head and tail room of packet.h around them.
  std::deque<Bytes> staged;
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;

  static constexpr std::size_t kNotQueued = ~std::size_t{0};
  std::size_t timer_position = kNotQueued;  ///< kept by TimerHeap
  Instant timer_deadline = PeerTimers::kNever;
};

}  // namespace higgs::wireguard
