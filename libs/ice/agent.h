// An ICE agent (RFC 8445) with trickle (RFC 8838) for one component, sans-IO. It finds the pairs of candidates over
// which the two ends hear each other, keeps consent on them (RFC 7675), and carries the probes by which the path
// manager measures them. Which of them carries traffic is not its decision.
//
// Every request it sends is paced and counted: never more than Limits::packets_per_second, and never to more than
// Limits::destinations within one attempt (from set_remote_description or restart() on). Answers go only to requests
// with the right password.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/random.h"
#include "base/time.h"
#include "ice/candidate.h"

namespace higgs::ice {

enum class Role { kControlling, kControlled };

/// SPEC of the project, docs/nat-traversal.md: no home router is to be flooded.
struct Limits {
  unsigned packets_per_second = 40;
  unsigned destinations = 16;          ///< address and port, of one attempt
  std::size_t remote_candidates = 32;  ///< kept of one generation; further ones are counted and dropped
  std::size_t local_candidates = 16;
  std::size_t pairs = 100;  ///< RFC 8445, 6.1.2.5
  std::chrono::milliseconds rto{100};
  unsigned attempts = 7;  ///< of one check
  std::chrono::seconds consent_interval{5};
  std::chrono::seconds consent_expiry{30};
};

using PairId = std::uint32_t;
/// The end-to-end way through the relay link. Always valid while there is a remote description.
inline constexpr PairId kRelayPair = 0;

struct Pair {
  PairId id = kRelayPair;
  Base base = Base::kSocket;
  Endpoint remote;  ///< where to send; of Base::kTurn: the peer behind the allocation
  CandidateType local_type = CandidateType::kHost, remote_type = CandidateType::kHost;
};

struct Transmit {
  Base base = Base::kSocket;
  Endpoint to;
  Bytes bytes;
};

struct CandidateFound {  ///< to be told to the peer
  Candidate candidate;
};
struct PairValid {
  Pair pair;
  std::chrono::microseconds round_trip{};
};
struct PairLost {  ///< consent expired, or replaced by a restart, or its base went
  PairId pair = kRelayPair;
};
struct ProbeAnswered {
  PairId pair = kRelayPair;
  std::uint32_t probe = 0;
  std::chrono::microseconds round_trip{};
  std::uint32_t remote_epoch = 0;  ///< of the path the far end sends on, 0: it said nothing
};
/// The far end's probe said: from `epoch` on I send on this pair (attribute NOMINATION, comprehension-optional).
struct PeerSendsOn {
  PairId pair = kRelayPair;
  std::uint32_t epoch = 0;
};
/// The check list is through and holds no valid pair (others may still come by trickle).
struct NothingFound {};
/// Role conflict: our role is the other one now (RFC 8445, 7.3.1.1).
struct RoleChanged {
  Role role = Role::kControlling;
};
using Event = std::variant<CandidateFound, PairValid, PairLost, ProbeAnswered, PeerSendsOn, NothingFound, RoleChanged>;

struct Counters {
  std::uint64_t requests_sent = 0, responses_sent = 0, responses_received = 0;
  std::uint64_t bad_integrity = 0, unknown_user = 0, unmatched = 0, malformed = 0, replayed = 0;
  std::uint64_t candidates_dropped = 0, destinations_refused = 0, role_conflicts = 0;
};

struct Options {
  Role role = Role::kControlling;
  Limits limits;
  /// Prefixes of our own interfaces. A remote candidate in a private, loopback, link-local, multicast or otherwise
  /// special range is never sent to unless one of these holds it and `probe_private` is set: nobody is to scan a home
  /// network through us. Public addresses of these networks a controlled agent checks only once the peer has sent from
  /// there. Requests that come from such addresses are answered.
  std::vector<IpPrefix> local_networks;
  bool probe_private = false;
};

class Agent {
 public:
  Agent(Instant now, Options options, RandomSource& random);
  ~Agent();

  const Description& local_description() const noexcept;
  const std::optional<Description>& remote_description() const noexcept;
  Role role() const noexcept;

  /// `type` kHost, kServerReflexive, kPortMapped (base kSocket) or kRelayed (base kTurn). A known one that is of
  /// another type now is told again: a router may map the port that a server has seen before.
  void add_local_candidate(Instant now, CandidateType type, const Endpoint& endpoint);
  /// Of an address or allocation that is gone. With the last one of its base and family its pairs are lost; with
  /// another they are only checked again, since all addresses share one socket.
  void remove_local_candidate(Instant now, const Endpoint& endpoint);
  void set_local_networks(std::vector<IpPrefix> networks);
  /// A new generation begins a new check list; older generations are ignored.
  void set_remote_description(Instant now, const Description& description);
  /// False: over the limit or of another generation.
  bool add_remote_candidate(Instant now, const Candidate& candidate, std::uint32_t generation);
  void end_of_remote_candidates(Instant now, std::uint32_t generation);
  /// Extra destinations for a sequential symmetric NAT of the far end: within the same limits, tried last.
  void add_predicted_candidates(Instant now, const std::vector<Endpoint>& endpoints);
  /// New credentials and generation; valid pairs are kept until the new attempt finds them again or consent ends.
  void restart(Instant now);
  /// Checks the pairs again without new credentials: for a retry.
  void recheck(Instant now);

  /// A STUN datagram that came in. False: it is for no one here (another agent's, or not STUN).
  bool handle_packet(Instant now, Base base, const Endpoint& from, ByteView datagram);
  /// One probe on a valid pair or kRelayPair; counts as a consent check and within packets_per_second. `epoch`: 0, or
  /// the epoch since which we send on this pair. False: not possible just now.
  bool send_probe(Instant now, PairId pair, std::uint32_t probe, std::uint32_t epoch);

  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const;
  std::optional<Transmit> poll_transmit();
  std::optional<Event> poll_event();

  const Pair* find(PairId pair) const noexcept;
  /// Of the valid pairs, to the base and address that a datagram came from or goes to.
  std::optional<PairId> pair_of(Base base, const Endpoint& remote) const noexcept;
  const Counters& counters() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The local ufrag a request is meant for, without checking it: USERNAME "local:remote" (RFC 8445, 7.2.2).
std::optional<std::string_view> target_ufrag(ByteView datagram) noexcept;

}  // namespace higgs::ice
