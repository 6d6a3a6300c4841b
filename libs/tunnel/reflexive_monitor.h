// How the world sees the shared UDP port: Binding requests to a few STUN servers, again and again. That keeps the NAT's
// mapping alive, and tells when it changes. Sans-IO; the owner sends from the shared port and hands in what is STUN.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/time.h"
#include "stun/message.h"
#include "stun/transaction.h"

namespace higgs::tunnel {

class ReflexiveMonitor {
 public:
  struct Limits {
    std::size_t servers = 4;  ///< further ones are not asked
    /// Below the 30 s that the most forgetful NATs keep a mapping; each round is up to a tenth earlier.
    std::chrono::milliseconds interval{20000};
    stun::RetransmissionPolicy retransmission{std::chrono::milliseconds(250), 5, 4};
    std::chrono::milliseconds doubt_interval{2000};
    std::size_t predicted = 6;  ///< ports of a family that are told as likely
  };
  struct Transmit {
    Endpoint to;
    ByteView bytes;  ///< until the next call
  };

  explicit ReflexiveMonitor(RandomSource& random) : ReflexiveMonitor(random, Limits()) {}
  ReflexiveMonitor(RandomSource& random, Limits limits) : random_(random), limits_(limits) {}

  /// New ones are asked at once; of those that stay, what is known stays.
  void set_servers(Instant now, std::span<const Endpoint> servers);
  /// Asks all of them now. What is known holds until they have answered or proved silent.
  void refresh(Instant now);
  /// A direct path broke: perhaps the NAT has forgotten its mapping. As refresh(), but once in a doubt_interval, since
  /// peers can make their paths break as often as they like.
  void doubt(Instant now);

  /// False: not an answer to a request of ours.
  bool handle_packet(Instant now, const Endpoint& from, ByteView datagram);
  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const noexcept;
  std::optional<Transmit> poll_transmit();
  /// True once after addresses() changed.
  bool poll_changed() noexcept { return std::exchange(changed_, false); }

  /// True once after a server saw another address than before: the NAT gave the port another mapping.
  bool poll_moved() noexcept { return std::exchange(moved_, false); }

  /// Each once, in the order of the servers.
  std::vector<Endpoint> addresses() const;
  /// Of a NAT that gives every destination a new port, `step` after the last one: those it is likely to give next.
  std::vector<Endpoint> predicted(int step) const;

 private:
  struct Server {
    Endpoint endpoint;
    std::optional<stun::TransactionTimer> timer;  ///< set while a request waits for its answer
    stun::TransactionId transaction{};
    std::optional<Endpoint> mapped;
    Instant next_round{};
    bool to_send = false;
  };
  void begin_round(Instant now, Server& server);
  void end_round(Instant now, Server& server, std::optional<Endpoint> mapped);

  RandomSource& random_;
  Limits limits_;
  std::vector<Server> servers_;
  ByteArray<256> buffer_{};
  std::optional<Instant> doubted_;
  bool changed_ = false, moved_ = false;
};

}  // namespace higgs::tunnel
