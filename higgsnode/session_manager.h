// The clients' sessions: which key and addresses each has, and behind which channel of the relay link it is reached.
//
// A session outlives its link: when the link comes back, the server opens the session again with a new channel, and the
// peer moves there with its WireGuard session untouched. Not thread-safe; control thread only.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/time.h"
#include "base/uuid.h"
#include "higgsnode/peer_table.h"
#include "higgsnode/tunnel_prefixes.h"
#include "relay/control.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::node {

struct Session {
  SessionId id;
  crypto::PublicKey key;
  std::vector<IpPrefix> addresses;
  tunnel::LinkId link = 0;
  relay::Channel channel = 0;
  std::optional<Instant> link_lost;  ///< since when no link carries it
  bool client_gone = false;          ///< the server has closed it, since the client's link is lost; a path keeps it
  Instant carried{};                 ///< when a path beside the relay was last seen to carry it, without any link
  WallTime opened{};
  std::uint64_t moves = 0;  ///< to another channel or link
};

struct SessionCounters {
  std::uint64_t opened = 0, moved = 0, closed = 0, expired = 0, refused = 0, unknown_closes = 0;
  std::uint64_t kept = 0;  ///< although the server had closed them
};

class SessionManager {
 public:
  /// A session whose link is gone ends when WireGuard's own would (paper, 6.2: REJECT-AFTER-TIME). While there is no
  /// link at all, a path beside the relay keeps it; once there is one, the server opens again what is to go on. A path
  /// beside the relay also keeps it that long when only the client has lost its link.
  static constexpr std::chrono::seconds kLinklessLifetime{180};

  using Answer = std::variant<relay::SessionReady, relay::SessionRefused>;
  /// Told of a session before it is forgotten, with the last numbers of its peer.
  using Ended = std::function<void(const Session&, const std::optional<wireguard::PeerStatus>&)>;

  SessionManager(PeerTable& peers, const TunnelPrefixes& prefixes, std::size_t most_sessions, Ended ended = {});

  /// Nothing is accepted before this: the firewall must stand. Closing it ends every session.
  void set_policy_in_force(bool in_force);
  /// From here on nothing new is accepted.
  void drain() noexcept { draining_ = true; }
  /// While it lasts, no session is accepted that is not known already.
  void set_maintenance(bool on) noexcept { maintenance_ = on; }
  /// Those above it that are open go on.
  void set_most_sessions(std::size_t most) noexcept { most_sessions_ = most; }

  Answer open(Now now, tunnel::LinkId link, const SessionId& id, const relay::SessionOpen& request);
  /// A close for a channel that the session has left is ignored. Of a client that is gone for the server only, the
  /// session stays for a while, unless another needs what it holds.
  void close(Now now, tunnel::LinkId link, const SessionId& id, const relay::SessionClose& request);
  void close_all();
  void link_lost(Now now, tunnel::LinkId link);
  void link_up() noexcept { has_link_ = true; }
  void expire(Now now);

  std::size_t size() const noexcept { return sessions_.size(); }
  /// The session that this link carries; nullptr: none of that id.
  const Session* find(tunnel::LinkId link, const SessionId& id) const;
  const Session* find(const crypto::PublicKey& key) const;
  const std::unordered_map<SessionId, Session>& sessions() const noexcept { return sessions_; }
  const SessionCounters& counters() const noexcept { return counters_; }

 private:
  std::optional<relay::RefusalReason> fault_of(const SessionId& id, const relay::SessionOpen& request) const;
  void make_way(const SessionId& id, const relay::SessionOpen& request);
  void end(std::unordered_map<SessionId, Session>::iterator session);

  PeerTable& peers_;
  TunnelPrefixes prefixes_;
  std::size_t most_sessions_;
  Ended ended_;
  bool in_force_ = false;
  bool draining_ = false;
  bool maintenance_ = false;
  bool has_link_ = false;
  std::unordered_map<SessionId, Session> sessions_;
  std::unordered_map<crypto::PublicKey, SessionId> by_key_;
  std::map<IpPrefix, SessionId> by_address_;
  SessionCounters counters_;
};

}  // namespace higgs::node
