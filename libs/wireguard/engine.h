// The WireGuard protocol of one interface (Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel"), sans-IO:
// it is handed time, bytes and randomness, and says what to send, what to deliver and when to call again.
//
// Threads: none of its own; all calls from one thread. Errors: input from the network never throws and never asserts.
// Bounds: see EngineLimits; what is over a limit is dropped and counted in EngineCounters.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/time.h"
#include "crypto/aead_batch.h"
#include "crypto/x25519.h"
#include "wireguard/packet.h"

namespace higgs::wireguard {

using crypto::PrivateKey;
using crypto::PublicKey;
using PresharedKey = SecretBytes<32>;

struct EngineLimits {
  std::size_t peers = 65536;
  std::size_t allowed_ips_per_peer = 4096;
  /// Packets kept for a peer while its handshake runs; the oldest goes first.
  std::size_t staged_packets_per_peer = 128;
  /// Handshake messages a second above which the interface counts as under load (cookies are then demanded).
  std::size_t under_load_handshakes_per_second = 256;
  /// Sources whose handshake rate is tracked at once.
  std::size_t rate_limited_sources = 65536;
};

/// What a peer is to be. Unset optionals leave the present value alone when the peer exists.
struct PeerConfig {
  PublicKey public_key;
  std::optional<PresharedKey> preshared_key;
  std::optional<PeerAddress> address;
  /// A pinned peer stays where it was put: its authenticated packets are taken from anywhere and move it nowhere, and
  /// answers go to its own address (without one, the first packet gives it one). Else it is where its last
  /// authenticated packet came from (paper 2.1).
  std::optional<bool> pinned;
  std::optional<std::chrono::seconds> persistent_keepalive;  ///< 0 turns it off
  bool replace_allowed_ips = false;
  std::vector<IpPrefix> allowed_ips;  ///< added; a prefix moves here from the peer that had it
  std::vector<IpPrefix> remove_allowed_ips;
};

struct PeerStatus {
  PublicKey public_key;
  PresharedKey preshared_key;
  std::optional<PeerAddress> address;
  bool pinned = false;
  std::chrono::seconds persistent_keepalive{0};
  std::optional<WallTime> last_handshake;
  std::uint64_t sent_bytes = 0;  ///< of UDP payload, as `wg show` counts
  std::uint64_t received_bytes = 0;
  std::vector<IpPrefix> allowed_ips;
  bool has_session = false;  ///< a key pair that may send now
};

struct EngineCounters {
  std::uint64_t malformed = 0, bad_mac1 = 0, bad_mac2 = 0, cookies_sent = 0, rate_limited = 0, unknown_receiver = 0;
  std::uint64_t bad_tag = 0, replayed = 0, wrong_source = 0, no_peer = 0, staged_dropped = 0, replayed_handshake = 0;
  std::uint64_t handshakes_started = 0, handshakes_completed = 0, handshakes_given_up = 0;
  std::uint64_t sent_packets = 0, received_packets = 0;  ///< inner packets; keepalives are none
  std::uint64_t unknown_initiator = 0;                   ///< initiations under a static key that is no peer's
  std::uint64_t expired = 0;                             ///< data under keys older than Reject-After-Time
};

/// A decrypted packet, by index into the span that was handed to decapsulate(); its PacketBuffer now spans the inner IP
/// packet with the padding cut off. `peer` is the sender.
struct Delivered {
  std::uint32_t index = 0;
  PublicKey peer;
};

class Engine {
 public:
  /// The interface starts up. `cipher` seals and opens data; by default the best for this CPU.
  /// `random` must outlive the engine.
  explicit Engine(RandomSource& random, EngineLimits limits = {}, std::unique_ptr<crypto::AeadBatch> cipher = nullptr);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // --- configuration -------------------------------------------------------------------------------------------
  /// An all-zero key removes the identity. A peer with our own public key is removed. Sessions are kept only if
  /// unchanged.
  void set_private_key(Now now, const PrivateKey& key);
  const PrivateKey& private_key() const noexcept;
  /// False if a limit stands in the way. Creates the peer unless `update_only`.
  bool set_peer(Now now, const PeerConfig& config, bool update_only, TransmitList& out);
  void remove_peer(const PublicKey& key);
  void remove_all_peers();
  std::vector<PeerStatus> peers() const;
  std::optional<PeerStatus> peer(const PublicKey& key) const;
  /// Moves a peer to another address by decision of the path manager (not by an authenticated packet); a pinned one
  /// is pinned there.
  void set_peer_address(const PublicKey& key, const PeerAddress& address);
  /// Forgets the sessions of a peer (its far end lost them) and starts a handshake at once.
  void restart_handshake(Now now, const PublicKey& key, TransmitList& out);
  /// Interface went up or an address changed: persistent keepalives are sent. Down: sessions are erased, timers
  /// stopped.
  void set_up(Now now, bool up, TransmitList& out);

  // --- packets -------------------------------------------------------------------------------------------------
  /// IP packets from the TUN, each with kTransportHeaderBytes of headroom and kTransportTailBytes of tailroom.
  /// Those with a session are sealed in place and appended to `out` in order; those without are copied aside and a
  /// handshake starts. `mtu` bounds the padding (paper 5.4.6: never above the MTU).
  void encapsulate(Now now, std::span<PacketBuffer> packets, std::uint32_t mtu, TransmitList& out);
  /// Datagrams as received, all from one address. Data is opened in place and reported in `delivered`, in order.
  void decapsulate(Now now, const PeerAddress& from, std::span<PacketBuffer> datagrams,
                   std::vector<Delivered>& delivered, TransmitList& out);

  // --- time ----------------------------------------------------------------------------------------------------
  std::optional<Instant> poll_timeout() const;
  void handle_timeout(Now now, TransmitList& out);

  const EngineCounters& counters() const noexcept;
  std::string_view cipher_name() const noexcept;
  /// Key pairs in memory, also those that are only received with: what erasing has left.
  std::size_t key_pairs() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::wireguard
