// Two Traversals, a NAT before each, a relay and a TURN server, on a virtual clock: for unit tests. (tests/sim has a
// world of every kind of NAT and an oracle; this one is for what a single test wants to bring about by hand.)
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "path/traversal.h"
#include "turn/turn_server.h"

namespace higgs::path::testing {

enum class Nat {
  kNone,
  kPortRestricted,
  kSymmetric,  ///< a new port for each destination, and filters by address and port
  kBlocked,    ///< no UDP at all
};

class SmallNetwork final : public turn::Authority, public turn::ServerOutput {
 public:
  struct Side {
    Nat nat = Nat::kPortRestricted;
    TraversalOptions options;
  };
  struct Host {
    Nat nat = Nat::kNone;
    bool mapped = false;  ///< its router does not filter for the shared socket
    IpAddress inside, outside;
    std::unique_ptr<Traversal> traversal;
    std::uint64_t requests_sent = 0;   ///< datagrams of its shared port
    std::uint64_t relay_packets = 0;   ///< of data, that left by the relay
    std::uint64_t direct_packets = 0;  ///< by the shared port
    std::uint64_t turn_packets = 0;
    std::set<Endpoint> destinations;  ///< of its shared port
    std::set<std::uint64_t> received;
    std::vector<Instant> received_at;
    std::vector<relay::PeerMessage> told;  ///< signals it sent

   private:
    friend class SmallNetwork;
    std::map<std::pair<unsigned, Endpoint>, std::uint16_t> ports_;  ///< by socket and destination
    std::set<std::pair<std::uint16_t, Endpoint>> open_;             ///< outside port, remote
  };

  SmallNetwork(std::uint64_t seed, Side client, Side node);
  ~SmallNetwork() override;

  Host& client() noexcept { return hosts_[0]; }
  Host& node() noexcept { return hosts_[1]; }
  Instant now() const noexcept { return now_; }
  std::chrono::milliseconds elapsed() const noexcept;
  const turn::ServerCounters& turn_counters() const noexcept { return turn_->counters(); }
  std::size_t turn_allocations() const noexcept { return turn_->allocations(); }

  static TurnAccess turn_access();

  /// Both are told their addresses and that the relay stands.
  void start();
  void run_for(std::chrono::milliseconds duration);
  /// False: not within that time.
  bool run_until(const std::function<bool()>& reached, std::chrono::milliseconds within);
  /// One data packet from each end to the other each `interval`, for as long as it runs.
  void send_data(std::chrono::milliseconds interval) { data_interval_ = interval; }
  /// Longest time between two data packets received, since `from`.
  static std::chrono::milliseconds longest_gap(const Host& host, Instant from, Instant to);

  void set_relay(bool up);
  /// Another address, inside and outside; mappings and filters are gone.
  void move(Host& host, const IpAddress& inside, const IpAddress& outside);
  /// Another address outside, and the host is not told: its router was given a new one, or forgot its mappings.
  void rebind(Host& host, const IpAddress& outside);
  /// Its router lets everybody in at the port where a server has seen the shared socket, or no longer; the host is
  /// told.
  void map_port(Host& host, bool mapped);
  void tell_local(Host& host);
  std::optional<Kind> path(const Host& host) const { return host.traversal->report(now_).path; }
  bool both_on(Kind kind) const { return path(hosts_[0]) == kind && path(hosts_[1]) == kind; }

  double loss = 0;
  std::chrono::milliseconds delay{15}, jitter{0};
  bool direct_cut = false, turn_cut = false, signals_cut = false;
  std::optional<SecretString> turn_password{SecretString("secret")};
  std::vector<Endpoint> predicted;  ///< of the client

 private:
  static constexpr unsigned kShared = 0, kTurnSocket = 1;
  struct Event {
    Instant at;
    std::uint64_t serial = 0;
    std::function<void()> what;
    bool operator>(const Event& other) const noexcept {
      return std::pair(at, serial) > std::pair(other.at, other.serial);
    }
  };

  // turn::Authority
  std::optional<SecretString> password(WallTime, std::string_view) override { return turn_password; }
  bool permits(std::string_view, const IpAddress&) override { return true; }
  // turn::ServerOutput
  std::optional<Opened> open_relay(const turn::FiveTuple& client, bool ipv6, bool even, bool reserve) override;
  std::optional<Endpoint> claim_reserved(turn::RelayId) override { return std::nullopt; }
  void close_relay(turn::RelayId id) override;
  void send_to_client(const turn::FiveTuple& client, ByteView bytes) override;
  void send_to_peer(turn::RelayId id, const Endpoint& peer, ByteView bytes, bool dont_fragment) override;
  bool may_answer_unproven(const turn::FiveTuple&) override { return true; }

  Host& other(const Host& host) noexcept { return &host == &hosts_[0] ? hosts_[1] : hosts_[0]; }
  Now both_clocks() const noexcept { return {now_, WallTime(now_.time_since_epoch())}; }
  void later(std::chrono::nanoseconds after, std::function<void()> what);
  std::chrono::nanoseconds travel_time();
  /// As the world sees this socket when it sends to that destination.
  std::optional<Endpoint> translate(Host& host, unsigned socket, const Endpoint& to);
  void send(Host& host, unsigned socket, const Endpoint& to, Bytes bytes);
  void deliver(const Endpoint& from, const Endpoint& to, Bytes bytes);
  void receive(Host& host, unsigned socket, const Endpoint& from, Bytes bytes);
  void send_relay(Host& host, Bytes bytes);
  void send_hop(Host& host, const Hop& hop, ByteView packet);
  void send_packet(Host& host);
  void take_data(Host& host, const Hop& from, ByteView packet);
  void drain(Host& host);
  void step(Instant until);

  SeededRandom random_;
  Instant now_{std::chrono::seconds(1000)}, begun_ = now_;
  std::array<Host, 2> hosts_;
  std::unique_ptr<turn::Server> turn_;
  std::map<turn::RelayId, Endpoint> relays_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t serial_ = 0, packet_ = 0;
  std::uint16_t next_port_ = 40000, next_relay_port_ = 50000;
  bool relay_up_ = false;
  unsigned relay_epoch_ = 0;
  std::chrono::milliseconds data_interval_{0};
  Instant next_data_{};
};

}  // namespace higgs::path::testing
