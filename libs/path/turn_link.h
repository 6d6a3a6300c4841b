// A TURN allocation that is kept: made again after a failure, with growing waits, and with the peers that the ICE agent
// sends to. Sans-IO.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/time.h"
#include "path/traversal.h"
#include "turn/turn_client.h"

namespace higgs::path {

class TurnLink {
 public:
  // Of our choosing.
  static constexpr std::chrono::seconds kRetryFirst{5}, kRetryCap{300};
  static constexpr std::size_t kMaxPeers = 16;

  TurnLink(Instant now, TurnAccess access, RandomSource& random);

  const Endpoint& server() const noexcept { return access_.server; }
  /// Allocated, or failed at least once: nothing more is to be waited for.
  bool settled() const noexcept { return settled_; }
  std::optional<Endpoint> relayed() const noexcept { return client_->relayed(); }
  /// Lost where the peer's permission does not stand yet; it is asked for.
  void send(Instant now, const Endpoint& peer, Bytes packet);
  /// This peer is worth a channel, and not forgotten for another's sake.
  void keep_peer(Instant now, const Endpoint& peer);
  void release_peer(const Endpoint& peer);
  ByteView wrap(const Endpoint& peer, ByteView packet, MutableBytes buffer) const {
    return client_->wrap(peer, packet, random_, buffer);
  }

  std::optional<turn::PeerData> handle_packet(Instant now, MutableBytes datagram);
  void network_changed(Instant now);
  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const;
  /// Bytes for the server.
  std::optional<Bytes> poll_transmit();
  void close(Instant now);

 private:
  struct Peer {
    Endpoint endpoint;
    bool kept = false;
  };

  Peer* add_peer(Instant now, const Endpoint& endpoint);
  void queue(const Endpoint& peer, ByteView packet);
  void start(Instant now);
  /// Notices success and failure.
  void settle(Instant now);

  TurnAccess access_;
  RandomSource& random_;
  std::unique_ptr<turn::Client> client_;
  std::vector<Peer> peers_;
  std::vector<Bytes> outbound_;
  bool settled_ = false;
  std::optional<Instant> retry_at_;
  std::chrono::seconds wait_ = kRetryFirst;
};

}  // namespace higgs::path
