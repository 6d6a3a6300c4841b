// The peers of a device that have a traversal: where their packets go, their timers, their TURN sockets, and which of
// them a STUN message is for. The engine knows such a peer by one address that never changes (address()).
//
// Nothing is allocated for a packet. Threads: the loop's.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "base/token_bucket.h"
#include "path/traversal.h"
#include "tunnel/deadline_timer.h"
#include "tunnel/transaction_table.h"
#include "tunnel/tunnel_driver.h"
#include "tunnel/turn_socket.h"

namespace higgs::tunnel {

/// The ways out of the device, and the way in for what came by TURN.
class PeerPathsOwner {
 public:
  virtual ~PeerPathsOwner() = default;
  /// From the shared port. `request`: it is to be answered from there.
  virtual void send_from_port(const Endpoint& to, std::span<const ByteView> packets, bool request) = 0;
  virtual void send_to_link(const wireguard::PeerAddress& relay, std::span<const ByteView> packets) = 0;
  /// WireGuard packets of the peer at `from` (an address of PeerPaths), to be opened in place.
  virtual void on_turn_packets(const wireguard::PeerAddress& from, std::span<const MutableBytes> packets) = 0;
  /// A peer's direct path broke.
  virtual void on_direct_lost() = 0;
};

class PeerPaths {
 public:
  /// Of our choosing: requests a second, of all peers together, to where no traffic goes. The budget of each peer alone
  /// (ice::Limits) would let one user with many sessions aim them at a third party.
  static constexpr unsigned kMaxChecksPerSecond = 400;

  PeerPaths(net::EventLoop& loop, RandomSource& random, PeerPathsOwner& owner);
  ~PeerPaths();

  static bool is_managed(const wireguard::PeerAddress& address) noexcept { return (address.path & kManaged) != 0; }
  bool empty() const noexcept { return peers_.empty(); }

  /// The address under which the engine is to know the peer. One that runs already ends first. A TURN socket that
  /// cannot be had is done without.
  wireguard::PeerAddress start(const wireguard::PublicKey& key, const std::optional<wireguard::PeerAddress>& relay,
                               path::TraversalOptions options, const path::LocalAddresses& local, std::uint32_t mark,
                               TraversalEvents& events);
  /// Where the relay path was, if there was one.
  std::optional<wireguard::PeerAddress> stop(const wireguard::PublicKey& key);
  bool contains(const wireguard::PublicKey& key) const { return by_key_.contains(key); }
  void stop_all();
  bool set_relay(const wireguard::PublicKey& key, const std::optional<wireguard::PeerAddress>& relay);
  void on_link_gone(LinkId link);
  bool handle_signal(const wireguard::PublicKey& key, const relay::PeerMessage& message);
  std::optional<path::TraversalReport> report(const wireguard::PublicKey& key) const;
  /// `moved`: the network is another one.
  void set_local(const path::LocalAddresses& local, bool moved);
  void set_mark(std::uint32_t mark);

  /// Packets that the engine sealed for a managed address.
  void send(const wireguard::PeerAddress& to, std::span<const ByteView> packets);
  /// A STUN datagram on the shared port or, with `relay`, out of a relay link.
  void handle_stun(const Endpoint& from, ByteView datagram);
  void handle_relayed_stun(const wireguard::PeerAddress& relay, ByteView datagram);
  /// The engine took packets of this peer; once a batch.
  void note_received(const wireguard::PublicKey& key, const path::Hop& from, std::size_t packets);

  const TraversalCounters& counters() const noexcept { return counters_; }

 private:
  static constexpr std::uint64_t kManaged = std::uint64_t{1} << 63;
  using Id = TransactionTable::Owner;
  struct Peer;
  struct UfragHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view ufrag) const noexcept { return std::hash<std::string_view>()(ufrag); }
  };

  Peer* find(const wireguard::PublicKey& key) const;
  Peer* find(Id id) const;
  void send_by(Peer& peer, const path::Hop& hop, std::span<const ByteView> packets);
  void send_by_turn(Peer& peer, const Endpoint& to, std::span<const ByteView> packets);
  void on_turn(Id id, std::span<const MutableBytes> datagrams);
  bool may_ask(const Peer& peer, const Endpoint& to);
  void transmit(Peer& peer, const path::Transmit& out);
  /// After every call that may have changed something: sends and tells what came of it, and arms the timer.
  void service(Peer& peer);
  void follow_ufrag(Peer& peer);
  void arm(Peer& peer);
  void disarm(Peer& peer);
  void on_timer();

  net::EventLoop& loop_;
  RandomSource& random_;
  PeerPathsOwner& owner_;
  DeadlineTimer timer_;
  std::unordered_map<Id, std::unique_ptr<Peer>> peers_;
  std::unordered_map<wireguard::PublicKey, Peer*> by_key_;
  std::unordered_map<std::string, Peer*, UfragHash, std::equal_to<>> by_ufrag_;
  std::unordered_map<std::uint64_t, Peer*> by_relay_;
  std::set<std::pair<Instant, Id>> due_;
  std::optional<TransactionTable> transactions_;
  TokenBucket checks_;
  Id last_id_ = 0;
  Bytes turn_buffer_;
  std::vector<ByteView> turn_views_;
  std::vector<MutableBytes> turn_packets_;
  TraversalCounters counters_;
};

}  // namespace higgs::tunnel
