// A simulated world of WireGuard engines on a virtual clock and a wire that loses, doubles, delays, reorders, corrupts
// and replays. The world sees what goes into each cipher and each datagram that arrives intact, and so knows what has
// to come out: every such packet, once, unchanged, from its true sender.
#pragma once

#include <map>
#include <random>
#include <unordered_map>
#include <vector>

#include "wireguard/testing/engine_fixture.h"

namespace higgs::sim {

class WireguardWorld {
 public:
  struct Noise {
    double loss = 0;
    double duplicate = 0;
    double corrupt = 0;
    double replay = 0;  ///< chance that with a datagram an old one comes again, from a stranger's address
    std::chrono::milliseconds min_delay{1};
    std::chrono::milliseconds max_delay{1};
  };
  struct Options {
    std::uint64_t seed = 1;
    std::size_t engines = 2;
    Noise noise;
  };
  /// What must not happen is counted in the second block.
  struct Verdict {
    std::uint64_t sent = 0, sealed = 0, arrived = 0, delivered = 0, replays_made = 0;
    std::uint64_t expired_under_way = 0;  ///< arrived intact when the receiver's keys had just become too old

    std::uint64_t lost_by_engine = 0;  ///< arrived intact, not delivered
    std::uint64_t delivered_twice = 0;
    std::uint64_t garbled = 0;       ///< delivered, but never sent so
    std::uint64_t wrong_source = 0;  ///< the inner source is not the peer it was delivered from
    std::uint64_t nonce_reused = 0;
    std::uint64_t overaged_keys = 0;  ///< sealed with more than Reject-After-Time after the key's first use
  };

  explicit WireguardWorld(const Options& options);
  WireguardWorld(const WireguardWorld&) = delete;
  WireguardWorld& operator=(const WireguardWorld&) = delete;

  // --- what happens -----------------------------------------------------------------------------------------------
  /// `count` packets at once, of random sizes.
  void send(std::size_t from, std::size_t to, std::size_t count = 1);
  /// A packet whose inner source is `as`'s.
  void send_spoofed(std::size_t from, std::size_t to, std::size_t as);
  /// The engine's outer address changes; what is under way to the old one is lost.
  void roam(std::size_t engine);
  void set_cut(bool cut) { cut_ = cut; }
  void set_noise(const Noise& noise) { noise_ = noise; }
  void run(std::chrono::nanoseconds time);

  // --- what is true -----------------------------------------------------------------------------------------------
  const Verdict& verdict() const { return verdict_; }
  wireguard::Engine& engine(std::size_t index) { return engines_[index]->engine; }
  Now now() const { return now_; }
  std::size_t keys_used() const { return keys_.size(); }

 private:
  class Cipher;
  struct Packet {
    std::size_t from, to, as;
    bool delivered = false;
  };
  struct KeyUse {
    std::uint64_t next_counter = 0;
    Instant first;
  };
  struct Flight {
    std::size_t from_port, to_port;  ///< outer addresses
    Bytes bytes;
    bool intact = true;
  };

  IpAddress inner_address(std::size_t engine, bool v4) const;
  wireguard::PeerAddress outer_address(std::size_t port) const;
  Bytes packet_with(std::uint64_t id, const Packet& packet);
  void sealed(const crypto::AeadKey& key, const crypto::AeadPacket& before, std::uint64_t id);
  static std::uint64_t id_of(ByteView inner);
  void put_on_wire(std::size_t engine);
  void launch(Flight flight);
  void arrive(const std::vector<Flight>& batch);
  void check_delivered(std::size_t engine);
  double chance() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  std::mt19937_64 random_;
  Noise noise_;
  bool cut_ = false;
  Now now_;
  Verdict verdict_;
  std::vector<std::unique_ptr<wireguard::testing::TestEngine>> engines_;
  std::vector<std::size_t> ports_;              // of each engine now
  std::map<std::size_t, std::size_t> at_port_;  // which engine is there
  std::vector<Packet> packets_;                 // by id
  std::unordered_map<std::string, KeyUse> keys_;
  std::unordered_map<std::uint64_t, std::uint64_t> by_tag_;  // of datagrams that have not arrived: packet id
  std::multimap<Instant, Flight> flights_;
  std::vector<Flight> history_;  // a ring of what has arrived
  std::size_t history_next_ = 0;
};

}  // namespace higgs::sim
