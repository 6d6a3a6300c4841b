// The client of one TURN allocation over UDP (RFC 8656), for a socket of its own. Sans-IO: the owner sends what
// poll_transmit() gives to the server, and hands in every datagram that came from it.
//
// It allocates (answering 401 and 438 with the nonce it is given), refreshes at half the lifetime, keeps a permission
// and a channel for each peer it was asked for, renews both, and deletes the allocation at its end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/time.h"

namespace higgs::turn {

/// RFC 8656, section 12.4: channel number and length.
inline constexpr std::size_t kChannelHeaderBytes = 4;

struct ClientOptions {
  Endpoint server;
  std::string username;
  SecretString password;
  bool ipv6 = false;           ///< REQUESTED-ADDRESS-FAMILY
  std::size_t max_peers = 16;  ///< further ones are refused
};

enum class ClientState { kAllocating, kAllocated, kFailed, kClosed };

/// A datagram from a peer, inside the buffer that was handed in.
struct PeerData {
  Endpoint peer;
  MutableBytes bytes;
};

class Client {
 public:
  Client(Instant now, ClientOptions options, RandomSource& random);
  ~Client();

  ClientState state() const noexcept;
  /// 0: no answer at all; else the STUN error code that ended it. Of kFailed.
  unsigned error() const noexcept;
  std::optional<Endpoint> relayed() const noexcept;
  /// What the server saw of us.
  std::optional<Endpoint> mapped() const noexcept;

  /// Asks for a permission and a channel, once there is an allocation. False: over max_peers.
  bool add_peer(Instant now, const Endpoint& peer);
  /// Renews nothing for this peer any more and takes no data of its channel.
  void drop_peer(const Endpoint& peer);
  /// Whether packets to this peer pass: the permission stands.
  bool ready(const Endpoint& peer) const noexcept;
  /// The header to put before a packet for this peer; 0: no channel (yet), use wrap().
  std::uint16_t channel(const Endpoint& peer) const noexcept;
  /// The packet as ChannelData, or else as a Send indication; empty: no permission, or `buffer` too small
  /// (it needs packet.size() + 64).
  ByteView wrap(const Endpoint& peer, ByteView packet, RandomSource& random, MutableBytes buffer) const noexcept;

  /// A datagram from the server. Data of a peer comes back in place; everything else is taken in.
  std::optional<PeerData> handle_packet(Instant now, MutableBytes datagram);
  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const;
  /// Bytes for the server.
  std::optional<Bytes> poll_transmit();
  /// After a change of network: asks the server at once whether the allocation still stands. If it does not, another
  /// is made: the state is kAllocating until then, and relayed() may be another.
  void verify(Instant now);
  /// Deletes the allocation: one Refresh with lifetime 0 comes out of poll_transmit().
  void close(Instant now);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::turn
