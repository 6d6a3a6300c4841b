// Two ends behind NATs of any kind, with STUN, TURN and a relay between them, on a virtual clock and a network that
// delays, loses, doubles and reorders. Things break: addresses change, NATs and servers forget, links are cut.
// The world follows every data packet, and knows which the network itself lost.
#pragma once

#include <array>
#include <memory>
#include <queue>
#include <random>
#include <string>

#include "sim/best_path.h"
#include "sim/nat_box.h"
#include "sim/probe_audit.h"
#include "sim/traversal_host.h"
#include "sim/turn_service.h"

namespace higgs::sim {

class TraversalWorld : private HostOutput {
 public:
  struct Noise {
    double loss = 0, duplicate = 0;
    std::chrono::milliseconds delay{20}, jitter{0};  ///< one way
  };
  struct Options {
    std::uint64_t seed = 1;
    std::array<EndType, 2> ends;  ///< the client, the node
    Noise noise;
    path::Policy policy = path::Policy::kAuto;
  };
  explicit TraversalWorld(const Options& options);

  // --- what happens -----------------------------------------------------------------------------------------------
  void run(std::chrono::nanoseconds time);
  void change_address(unsigned host);
  void restart_nat(unsigned host) { nats_[host].restart(); }
  void cut_direct(bool cut) { direct_cut_ = cut; }
  /// The link breaks; both ends are told, and it comes back after a while.
  void break_relay(std::chrono::nanoseconds for_time);
  /// TURN allocations and relay links are gone.
  void restart_server();
  /// Nothing runs at this host, and what arrives is dropped; then it goes on.
  void suspend(unsigned host, std::chrono::nanoseconds time);
  void set_traffic(bool on) { traffic_ = on; }
  /// Every datagram that arrives at `host` from now on is repeated later, from a stranger's address as well.
  void replay_to(unsigned host) { replayed_[host] = true; }
  void set_noise(const Noise& noise) { options_.noise = noise; }

  // --- what is true -----------------------------------------------------------------------------------------------
  TraversalHost& host(unsigned number) { return *hosts_[number]; }
  const ProbeAudit& audit(unsigned number) const { return audits_[number]; }
  Instant now() const { return now_.monotonic; }
  std::optional<path::Kind> path(unsigned number) const { return hosts_[number]->report(now()).path; }
  /// Data packets sent in this time that were not delivered although the network lost none of their copies.
  std::size_t vanished(Instant from, Instant to) const;
  std::size_t delivered(Instant from, Instant to) const;
  std::size_t sent(Instant from, Instant to) const;
  /// Longest time without a delivery at `host` since then.
  std::chrono::nanoseconds longest_gap(unsigned host) const { return longest_gap_[host]; }
  void reset_gaps();
  std::uint64_t relayed_data() const { return relayed_data_; }
  const turn::ServerCounters& turn_counters() const { return turn_.counters(); }

 private:
  struct Data {
    Instant sent{};
    unsigned by = 0;
    bool delivered = false, excused = false;
  };
  struct Flight {
    enum class What { kUdp, kForged, kRelayed, kSignal };
    Instant due{};
    std::uint64_t order = 0;
    What what = What::kUdp;
    Endpoint from, to;
    Bytes bytes;
    relay::PeerMessage signal;
    unsigned host = 0;  ///< who gets it, of what is not routed by `to`
    unsigned link = 0;  ///< and on which link it began
  };
  struct Later {
    bool operator()(const Flight& a, const Flight& b) const {
      return a.due != b.due ? a.due > b.due : a.order > b.order;
    }
  };

  void send_udp(unsigned host, unsigned socket, const Endpoint& to, ByteView bytes) override;
  void send_relayed(unsigned host, ByteView packet) override;
  void send_signal(unsigned host, relay::PeerMessage message) override;
  void delivered(unsigned host, std::uint64_t id) override;

  /// Where an end is in the network just now.
  struct Place {
    IpAddress inside, outside, v6;
    unsigned moves = 0;
  };
  void settle_place(unsigned host);
  std::vector<Endpoint> addresses(unsigned host) const;
  std::optional<unsigned> owner(const IpAddress& address) const;
  void audit_turn(unsigned host, ByteView bytes);
  /// Onto the wire, where it may be lost.
  void launch(const Endpoint& from, const Endpoint& to, ByteView bytes);
  void launch_by_relay(unsigned from, Flight flight);
  void arrive(Flight& flight);
  void arrive_at_server(const Flight& flight);
  void arrive_at_host(unsigned host, Flight& flight);
  void excuse(ByteView bytes);
  void replay(unsigned host, const Flight& flight);
  void send_traffic();
  void step();
  Instant next_event() const;
  void set_relay(bool up);
  bool chance(double probability) { return std::uniform_real_distribution<double>(0, 1)(random_) < probability; }

  Options options_;
  std::mt19937_64 random_;
  Now now_;
  std::vector<NatBox> nats_, firewalls_;
  TurnService turn_;
  std::array<std::unique_ptr<TraversalHost>, 2> hosts_;
  std::array<ProbeAudit, 2> audits_;
  std::array<Instant, 2> asleep_until_{}, last_delivery_{}, last_by_relay_{};
  std::array<std::chrono::nanoseconds, 2> longest_gap_{};
  std::array<Place, 2> places_;
  std::array<bool, 2> replayed_{};
  bool direct_cut_ = false, relay_up_ = false, traffic_ = true;
  unsigned link_ = 0;
  std::optional<Instant> relay_back_;
  Instant next_traffic_;
  std::vector<Data> data_;
  std::priority_queue<Flight, std::vector<Flight>, Later> flights_;
  std::uint64_t next_order_ = 0, relayed_data_ = 0;
};

}  // namespace higgs::sim
