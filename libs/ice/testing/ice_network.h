// Agents on a virtual clock, each behind a NAT of its own kind, on a network that loses, doubles, delays and reorders.
// For tests only.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "ice/agent.h"

namespace higgs::ice::testing {

/// "1.2.3.4:5" or "[2001:db8::1]:5".
Endpoint at(std::string_view text);

enum class Nat { kNone, kFullCone, kAddressRestricted, kPortRestricted, kSymmetric };

struct Sent {
  Instant when{};
  Base base = Base::kSocket;
  Endpoint to;
  bool request = false;
  Bytes bytes;
};

/// One end: an agent, its addresses, its NAT.
struct End {
  struct Addresses {
    std::optional<Endpoint> v4, v6;
    Nat nat = Nat::kNone;  ///< of IPv4
    IpAddress outside;     ///< of the NAT
    std::optional<Endpoint> relayed;
  };

  Addresses addresses;
  std::unique_ptr<SeededRandom> random;
  std::unique_ptr<Agent> agent;
  std::vector<Event> events;
  std::vector<Sent> sent;
  bool silent = false;  ///< nothing of it arrives, nothing arrives at it; the relay apart
  std::map<std::pair<Endpoint, Endpoint>, std::uint16_t> mappings;  ///< (inside, destination or nothing) → port
  std::map<std::uint16_t, Endpoint> inside;
  std::set<std::pair<std::uint16_t, Endpoint>> allowed;  ///< (outside port, peer)
  std::set<IpAddress> permitted;                         ///< of the allocation
  std::uint16_t next_port = 40000;

  template <class T>
  std::size_t count() const {
    std::size_t out = 0;
    for (const auto& event : events) out += std::holds_alternative<T>(event) ? 1 : 0;
    return out;
  }
  template <class T>
  const T* last() const {
    for (auto event = events.rbegin(); event != events.rend(); ++event)
      if (const T* out = std::get_if<T>(&*event)) return out;
    return nullptr;
  }
  std::size_t requests() const;
  std::set<Endpoint> destinations() const;  ///< of requests, the relay apart
  /// Valid, not lost since.
  std::vector<Pair> valid() const;
  /// Where a STUN server would see the shared port.
  Endpoint reflexive();
  Endpoint outside_of(const Endpoint& from, const Endpoint& to);
};

class Network {
 public:
  struct Noise {
    double loss = 0, duplicate = 0;
    std::chrono::milliseconds min_delay{10}, max_delay{10};
  };
  explicit Network(std::uint64_t seed = 1) : random_(seed) {}

  End& add(const End::Addresses& addresses, Options options = {});
  /// Adds the host, server-reflexive and relayed candidates that its addresses give.
  void gather(End& end);
  /// What the agents found to tell is told after `delay`, description first.
  void signal(End& a, End& b, std::chrono::milliseconds delay);
  /// Only its description.
  void describe(End& from, End& to);
  void describe_later(End& from, End& to, std::chrono::milliseconds delay);
  /// Anything, later.
  void later(std::chrono::nanoseconds delay, std::function<void()> what);

  void run(std::chrono::nanoseconds time);
  bool run_until(const std::function<bool()>& condition, std::chrono::nanoseconds most);
  /// A datagram as it arrives from the network, past any NAT.
  bool inject(End& to, const Endpoint& from, ByteView datagram, Base base = Base::kSocket);
  /// Takes what the agents have to say.
  void drain();
  Instant now() const noexcept { return now_; }

  Noise noise;
  std::chrono::milliseconds relay_delay{30};
  /// Sees each datagram as it leaves, with its source as the network sees it; false: it is lost.
  std::function<bool(const End& from, const Endpoint& source, const Sent& sent)> tap;

 private:
  void drain(End& end);
  void route(End& from, const Sent& sent);
  void deliver(End* to, Base base, const Endpoint& from, const Bytes& bytes);
  bool step(Instant until);
  End* other(const End& end);

  std::mt19937_64 random_;
  Instant now_{std::chrono::seconds(1000)};
  std::deque<End> ends_;
  std::multimap<Instant, std::function<void()>> queue_;
  std::map<const End*, std::pair<End*, std::chrono::milliseconds>> signalled_;
};

}  // namespace higgs::ice::testing
