// Everything between the WireGuard engine and the networks for one peer: ICE agent, TURN client and path manager put
// together. Sans-IO; lives on the tunnel device's thread, and as well in the simulation.
//
// The device gives the engine one fixed address for the peer, asks route() where its packets go, and hands in what is
// STUN. Messages to the far end (poll_signal) travel as relay control messages.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/time.h"
#include "ice/agent.h"
#include "path/path_manager.h"
#include "relay/control.h"

namespace higgs::path {

/// What the device knows of its own side; the same for all its peers.
struct LocalAddresses {
  std::vector<Endpoint> host;
  std::vector<Endpoint> reflexive;  ///< seen by STUN from the shared port
  std::vector<Endpoint> mapped;     ///< by PCP, NAT-PMP, UPnP
  std::vector<IpPrefix> networks;   ///< of the interfaces
  /// Of a symmetric NAT that counts: the ports it will most likely use next. To be told to the peer as candidates.
  std::vector<Endpoint> predicted;
  friend bool operator==(const LocalAddresses&, const LocalAddresses&) = default;
};

struct TurnAccess {
  Endpoint server;
  std::string username;
  SecretString password;
};

struct TraversalOptions {
  bool leads = true;  ///< the client: ICE's controlling role, and the one that chooses the path
  Policy policy = Policy::kAuto;
  std::optional<TurnAccess> turn;
  ice::Limits ice;
  Limits path;
  /// Peers may be checked at private addresses of networks that this host is on, and are told ours. Off: nobody scans
  /// or learns a home network through us.
  bool probe_private = false;
};

/// One way for packets.
struct Hop {
  ice::Base base = ice::Base::kRelay;
  Endpoint to;  ///< of kSocket: the peer; of kTurn: the peer behind the allocation; of kRelay: unspecified
  friend bool operator==(const Hop&, const Hop&) = default;
};
struct Route {
  std::optional<Hop> first;   ///< unset: nowhere
  std::optional<Hop> second;  ///< copies, while `first` is in doubt
};

/// Control traffic to send: rare, so it owns its bytes. Of kTurn: already for the TURN server, from the TURN socket.
struct Transmit {
  ice::Base base = ice::Base::kSocket;
  Endpoint to;
  Bytes bytes;
};

struct TraversalReport {
  std::optional<Kind> path;
  Reason reason = Reason::kOnlyOne;
  std::optional<Endpoint> remote;
  Instant since{};
  std::optional<std::chrono::microseconds> round_trip;
  double loss = 0;
  std::optional<std::chrono::milliseconds> time_to_direct;  ///< from the start to the first direct path
  std::uint64_t switches = 0, fallbacks = 0, restarts = 0;
  std::uint64_t dropped = 0;  ///< signals and control packets of ours, over a limit
  std::vector<PathStatus> paths;
  ice::Counters ice;
};

class Traversal {
 public:
  Traversal(Instant now, TraversalOptions options, RandomSource& random);
  ~Traversal();

  void set_local(Instant now, const LocalAddresses& local);
  /// An interface went, came, or the default route moved: more than a new candidate.
  void network_changed(Instant now);
  /// Whether the relay link carries packets for this peer just now. What was not told to the peer is told again. A
  /// peer that forgot everything (session-ready with fresh) needs a new Traversal: generations only grow.
  void set_relay(Instant now, bool up);
  /// ice-description, candidate, candidates-end, path-changed. False: malformed (counted by the caller).
  bool handle_signal(Instant now, const relay::PeerMessage& message);

  /// A STUN datagram from the shared port or the relay. False: not for this peer.
  bool handle_stun(Instant now, ice::Base base, const Endpoint& from, ByteView datagram);
  /// A datagram on the TURN socket. What comes back is the peer's packet (WireGuard), inside `datagram`.
  std::optional<MutableBytes> handle_turn(Instant now, MutableBytes datagram);
  /// The packet as it goes to the TURN server; empty: not possible. `buffer` needs packet.size() + 64.
  ByteView wrap_turn(const Endpoint& peer, ByteView packet, MutableBytes buffer);
  std::optional<Endpoint> turn_server() const noexcept;

  /// Where packets go now. Cheap; changes only inside handle_* and set_*.
  const Route& route() const noexcept;
  void note_sent(Instant now, std::size_t packets) noexcept;
  void note_received(Instant now, const Hop& from, std::size_t packets) noexcept;

  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const;
  std::optional<Transmit> poll_transmit();
  std::optional<relay::PeerMessage> poll_signal();
  /// True once after each change of route().first.
  bool poll_path_changed() noexcept;

  const std::string& local_ufrag() const noexcept;
  TraversalReport report(Instant now) const;
  /// Deletes the TURN allocation; what is left to send comes out of poll_transmit().
  void close(Instant now);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::path
