// The parts of ice::Agent, put together: agent.cpp (what the owner calls), agent_candidates.cpp (candidates and pairs),
// agent_checks.cpp (what is sent and its answers), agent_requests.cpp (what the far end asks).
#pragma once

#include <deque>
#include <functional>

#include "ice/agent.h"
#include "ice/budget.h"
#include "ice/check_list.h"
#include "ice/check_message.h"
#include "ice/credentials.h"
#include "ice/pending_requests.h"
#include "ice/replay_filter.h"

namespace higgs::ice {

class Agent::Impl {
 public:
  Impl(Instant now, Options options, RandomSource& random);

  // --- agent.cpp ---------------------------------------------------------------------------------------------------
  void set_remote_description(Instant now, const Description& description);
  void restart(Instant now);
  void recheck(Instant now);
  bool handle_packet(Instant now, Base base, const Endpoint& from, ByteView datagram);
  bool send_probe(Instant now, PairId pair, std::uint32_t probe, std::uint32_t epoch);
  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const;
  std::optional<Transmit> poll_transmit();
  std::optional<Event> poll_event();
  std::optional<PairId> pair_of(Base base, const Endpoint& remote) const noexcept;
  const Pair* find(PairId pair) const noexcept;

  // --- agent_candidates.cpp ----------------------------------------------------------------------------------------
  void add_local_candidate(Instant now, CandidateType type, const Endpoint& endpoint);
  void remove_local_candidate(Instant now, const Endpoint& endpoint);
  void set_local_networks(std::vector<IpPrefix> networks);
  bool add_remote_candidate(Instant now, const Candidate& candidate, std::uint32_t generation);
  void end_of_remote_candidates(Instant now, std::uint32_t generation);
  void add_predicted_candidates(Instant now, const std::vector<Endpoint>& endpoints);

  Credentials credentials_;
  std::optional<Description> remote_;
  Role role_;
  Counters counters_;

 private:
  struct LocalCandidate {
    Base base = Base::kSocket;
    Candidate candidate;
  };
  struct RemoteCandidate {
    Candidate candidate;
    bool predicted = false;
    bool proven = false;  ///< peer-reflexive, or a request came from it
  };
  /// Told before the description they belong to (RFC 8838, section 14: signalling may reorder).
  struct Early {
    std::uint32_t generation = 0;
    std::vector<Candidate> candidates;
    bool end = false;
  };
  /// An authenticated request from an end whose new description is still on its way.
  struct EarlyCheck {
    std::string remote_ufrag;
    Base base = Base::kSocket;
    Endpoint from;
    std::uint32_t priority = 0, epoch = 0;
  };
  struct Probe {
    PairId pair = kRelayPair;
    std::uint32_t number = 0, epoch = 0;
  };
  struct RemoteKey {
    unsigned serial = 0;
    stun::IntegrityKey key;
  };

  static constexpr std::size_t kMaxProbes = 32;  ///< that wait for the budget

  // --- agent_candidates.cpp ----------------------------------------------------------------------------------------
  bool take_candidate(Instant now, const Candidate& candidate);
  void rename(Instant now, RemoteCandidate& known, const Candidate& candidate);
  void form_pairs(Instant now);
  CheckedPair* form_pair(Instant now, Base base, const RemoteCandidate& remote);
  bool may_check(Base base, const IpAddress& remote, bool proven) const noexcept;
  const LocalCandidate* best_local(Base base, const IpAddress& family) const noexcept;
  RemoteCandidate* find_remote(const Endpoint& endpoint) noexcept;
  RemoteCandidate* learn_remote(Base base, const Endpoint& endpoint, std::uint32_t priority);
  std::uint64_t priority_of(Base base, const RemoteCandidate& remote) const noexcept;
  void lose(CheckedPair& pair);
  void erase_pairs(const std::function<bool(const CheckedPair&)>& which);
  void begin_attempt(Instant now);
  void set_local_type(CheckedPair& pair, const Endpoint& mapped) noexcept;

  // --- agent_checks.cpp --------------------------------------------------------------------------------------------
  /// Sends what is due and within the budget.
  void pump(Instant now);
  void send_request(Instant now, const Pair& pair, std::optional<std::uint32_t> probe, std::uint32_t epoch);
  bool send_check(Instant now);
  bool send_consent_check(Instant now);
  bool handle_response(Instant now, Base base, const Endpoint& from, ByteView datagram);
  void handle_success(Instant now, const PendingRequest& request, const stun::Message& message);
  void handle_conflict(Instant now, const PendingRequest& request);
  void validated(Instant now, CheckedPair& pair, std::chrono::nanoseconds round_trip);
  void expire_consent(Instant now);
  void tell_if_nothing_found();
  const stun::IntegrityKey* remote_key(unsigned serial) const noexcept;

  // --- agent_requests.cpp ------------------------------------------------------------------------------------------
  bool handle_request(Instant now, Base base, const Endpoint& from, ByteView datagram);
  /// RFC 8445, section 7.3.1.1. False: the far end is to switch.
  bool settle_roles(const ReceivedCheck& check, bool first_time);
  void accept_check(Instant now, Base base, const Endpoint& from, const ReceivedCheck& check,
                    std::string_view remote_ufrag);
  void check_back(Instant now, Base base, const Endpoint& from, std::uint32_t priority, std::uint32_t epoch);
  void switch_role(Role role);

  void emit(Event event);
  void transmit(Base base, const Endpoint& to, Bytes bytes);

  Options options_;
  RandomSource& random_;
  std::uint64_t tie_breaker_;
  Budget budget_;
  CheckList list_;
  PendingRequests pending_;
  ReplayFilter replays_;
  std::vector<LocalCandidate> local_;
  std::vector<RemoteCandidate> remote_candidates_;
  std::vector<RemoteKey> remote_keys_;  ///< the present one last, and the one before
  bool remote_ended_ = false;
  bool nothing_found_told_ = false;
  Early early_;
  std::deque<EarlyCheck> early_checks_;
  std::deque<Probe> probes_;
  std::uint32_t epoch_ = 0;        ///< of the path we send on
  std::uint32_t relay_epoch_ = 0;  ///< said through the relay before there was a description
  const Pair relay_pair_{kRelayPair, Base::kRelay, {}, CandidateType::kRelayed, CandidateType::kRelayed};
  std::deque<Transmit> transmits_;
  std::deque<Event> events_;
};

}  // namespace higgs::ice
