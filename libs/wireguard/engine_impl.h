// The inside of Engine. Its parts: engine.cpp (configuration and timers), engine_handshake.cpp, engine_data.cpp.
#pragma once

#include <deque>
#include <unordered_map>

#include "wireguard/allowed_ips.h"
#include "wireguard/cookies.h"
#include "wireguard/engine.h"
#include "wireguard/index_table.h"
#include "wireguard/peer.h"
#include "wireguard/rate_limiter.h"
#include "wireguard/timer_heap.h"

namespace higgs::wireguard {

class Engine::Impl {
 public:
  Impl(RandomSource& random, EngineLimits limits, std::unique_ptr<crypto::AeadBatch> cipher);

  void set_private_key(Now now, const PrivateKey& key);
  const PrivateKey& private_key() const noexcept { return identity_.private_key; }
  bool set_peer(Now now, const PeerConfig& config, bool update_only, TransmitList& out);
  void remove_peer(const PublicKey& key);
  void remove_all_peers();
  std::vector<PeerStatus> peers() const;
  std::optional<PeerStatus> peer(const PublicKey& key) const;
  void set_peer_address(const PublicKey& key, const PeerAddress& address);
  void restart_handshake(Now now, const PublicKey& key, TransmitList& out);
  void set_up(Now now, bool up, TransmitList& out);

  void encapsulate(Now now, std::span<PacketBuffer> packets, std::uint32_t mtu, TransmitList& out);
  void decapsulate(Now now, const PeerAddress& from, std::span<PacketBuffer> datagrams,
                   std::vector<Delivered>& delivered, TransmitList& out);

  std::optional<Instant> poll_timeout() const;
  void handle_timeout(Now now, TransmitList& out);
  const EngineCounters& counters() const noexcept { return counters_; }
  std::string_view cipher_name() const noexcept { return cipher_->name(); }
  std::size_t key_pairs() const noexcept;

 private:
  /// The address of the packet before, whose peer is the next one's too if that goes to the same place.
  struct RouteCache {
    ByteArray<16> address{};
    bool v4 = false;
    Peer* peer = nullptr;
  };
  /// A handshake or keepalive that is written here, since no buffer of the caller's is at hand.
  using Scratch = ByteArray<kInitiationBytes>;

  // --- engine.cpp
  void begin_call(Now now);
  Peer* find_peer(const PublicKey& key) const noexcept;
  bool allowed_ips_fit(const Peer* peer, const PeerConfig& config) const;
  void change_allowed_ips(Peer& peer, const PeerConfig& config);
  void forget_sessions(Peer& peer);
  PeerStatus status_of(const Peer& peer) const;
  /// Brings the heap up to date after timers were stamped; later deadlines are noticed when the earlier one fires.
  void schedule(Peer& peer) {
    const Instant next = peer.timers.next();
    if (next < peer.timer_deadline) timers_.update(peer, next);
  }
  void fire_timers(Now now, Peer& peer, TransmitList& out);

  // --- engine_handshake.cpp
  enum class Attempt { kNew, kRetry };
  void start_handshake(Now now, Peer& peer, Attempt attempt, TransmitList& out);
  void handle_initiation(Now now, const PeerAddress& from, ByteView message, TransmitList& out);
  void respond(Now now, Peer& peer, InitiationReader& reader, std::uint32_t receiver, TransmitList& out);
  void handle_response(Now now, const PeerAddress& from, ByteView message, TransmitList& out);
  void handle_cookie_reply(Now now, ByteView message);
  void complete_handshake(Now now, Peer& peer);
  /// mac1, load, mac2 and rate; sends a cookie reply where one is due. `sender` is the message's own index.
  bool admit(Now now, const PeerAddress& from, ByteView message, std::uint32_t sender, TransmitList& out);
  bool under_load(Instant now);
  MutableBytes scratch(std::size_t size);
  std::chrono::nanoseconds draw_jitter();

  // --- engine_data.cpp
  Peer* route(const PacketBuffer& packet, RouteCache& cache);
  void send_run(Now now, Peer& peer, std::span<PacketBuffer> run, TransmitList& out);
  void seal_run(Now now, Peer& peer, Session& session, std::span<PacketBuffer> run, TransmitList& out);
  void stage(Peer& peer, const PacketBuffer& packet);
  void flush_staged(Now now, Peer& peer, TransmitList& out);
  void send_keepalive(Now now, Peer& peer, TransmitList& out);
  std::uint32_t padding_of(std::uint32_t length) const noexcept;
  /// Opens datagrams [first, last), data messages to one receiver index.
  void open_run(Now now, const PeerAddress& from, std::span<PacketBuffer> datagrams, std::size_t first,
                std::size_t last, std::vector<Delivered>& delivered, TransmitList& out);
  /// Checks an authenticated packet and makes `datagram` span what is inside; false if there is nothing to deliver.
  bool accept_opened(Peer& peer, const crypto::AeadPacket& opened, PacketBuffer& datagram);
  void commit_received(Now now, const PeerAddress& from, Peer& peer, const Session& session, bool any_data,
                       TransmitList& out);

  RandomSource& random_;
  EngineLimits limits_;
  std::unique_ptr<crypto::AeadBatch> cipher_;
  EngineCounters counters_;
  Now now_{};
  bool up_ = true;
  std::uint32_t mtu_ = 0;

  LocalIdentity identity_;
  bool has_identity_ = false;
  CookieChecker checker_;
  RateLimiter limiter_;
  Instant load_window_{};
  std::size_t load_count_ = 0;
  Instant under_load_until_{};

  // Peers hold leases of the table, so it goes last.
  IndexTable indices_;
  AllowedIps allowed_ips_;
  TimerHeap timers_;
  std::unordered_map<PublicKey, std::unique_ptr<Peer>> peers_;

  // Reused from call to call.
  std::vector<crypto::AeadPacket> batch_;
  std::vector<std::uint32_t> batch_index_;
  std::deque<Scratch> scratch_;
  std::size_t scratch_used_ = 0;
  std::vector<Bytes> flushed_;
  std::vector<PacketBuffer> flush_run_;
};

}  // namespace higgs::wireguard
