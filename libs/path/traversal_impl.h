// The inside of a Traversal; sources: traversal.cpp (what the owner calls, time, route), traversal_events.cpp (what
// agent, path manager and TURN say to one another), traversal_signals.cpp (messages of the far end).
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "base/token_bucket.h"
#include "ice/agent.h"
#include "path/announcer.h"
#include "path/path_manager.h"
#include "path/traversal.h"
#include "path/turn_link.h"

namespace higgs::path {

// Of our choosing.
inline constexpr std::chrono::milliseconds kGatherFor{1000};         ///< then "candidates-end" is told
inline constexpr std::chrono::milliseconds kRestartEvery{1000};      ///< ours
inline constexpr std::chrono::milliseconds kRecheckFor{1000};        ///< before a restart, after a change of network
inline constexpr std::chrono::milliseconds kUnheardFor{10000};       ///< for the far end's description
inline constexpr std::chrono::milliseconds kDescriptionEvery{1000};  ///< of the far end, after a burst
inline constexpr unsigned kDescriptionBurst = 4;
inline constexpr std::chrono::seconds kRetellEvery{30};  ///< everything, because the far end began anew
inline constexpr std::size_t kMaxOutbound = 256;
inline constexpr unsigned kMaxRounds = 64;

/// Through a server, ours or the far end's, or straight.
inline Kind kind_of(const ice::Pair& pair) noexcept {
  if (pair.base == ice::Base::kTurn || pair.remote_type == ice::CandidateType::kRelayed) return Kind::kTurn;
  return pair.remote.address.is_v6() ? Kind::kDirectV6 : Kind::kDirectV4;
}

class Traversal::Impl {
 public:
  Impl(Instant now, TraversalOptions options, RandomSource& random);

  // --- traversal.cpp ---------------------------------------------------------------------------------------------
  void set_local(Instant now, const LocalAddresses& local);
  void network_changed(Instant now);
  void set_relay(Instant now, bool up);
  bool handle_stun(Instant now, ice::Base base, const Endpoint& from, ByteView datagram);
  std::optional<MutableBytes> handle_turn(Instant now, MutableBytes datagram);
  ByteView wrap_turn(const Endpoint& peer, ByteView packet, MutableBytes buffer) const;
  void note_received(Instant now, const Hop& from, std::size_t packets) noexcept;
  void handle_timeout(Instant now);
  std::optional<Instant> poll_timeout() const;
  std::optional<Transmit> poll_transmit();
  TraversalReport report() const;
  void close(Instant now);

  // --- traversal_signals.cpp -------------------------------------------------------------------------------------
  bool handle_signal(Instant now, const relay::PeerMessage& message);

  TraversalOptions options;
  Route route;
  bool path_changed = false;
  Announcer announcer;
  PathManager manager;
  ice::Agent agent;
  std::unique_ptr<TurnLink> turn;

 private:
  struct ValidPair {
    Kind kind = Kind::kDirectV4;
    ice::Base base = ice::Base::kSocket;
    Endpoint remote;
  };

  // --- traversal.cpp ---------------------------------------------------------------------------------------------
  bool checks() const noexcept { return options.policy != Policy::kRelayOnly; }
  /// An ICE restart: new credentials, everything told anew, every pair checked anew.
  void restart(Instant now);
  /// As restart(), but not more often than allowed: then later.
  void ask_for_restart(Instant now);
  bool direct_works() const;
  void update_route();
  std::optional<Hop> hop_of(std::optional<PathId> path) const;

  // --- traversal_events.cpp --------------------------------------------------------------------------------------
  /// Carries events between the parts until none is left. Ends every call that may have caused one.
  void settle(Instant now);
  bool settle_agent(Instant now);
  bool settle_manager(Instant now);
  void settle_turn(Instant now);
  void take_transmits(Instant now);
  void on(Instant now, const ice::CandidateFound& found);
  void on(Instant now, const ice::PairValid& valid);
  void on(Instant now, const ice::PairLost& lost);
  void on(Instant now, const ice::ProbeAnswered& answered);
  void on(Instant now, const ice::PeerSendsOn& sends);
  void on(Instant now, const ice::NothingFound& nothing);
  void on(Instant now, const ice::RoleChanged& changed);
  void on(Instant now, const SendProbe& probe);
  void on(Instant now, const PathChanged& changed);
  void on(Instant now, const PathsGone& gone);
  void on(Instant now, const RetryDirect& retry);
  void end_gathering(Instant now);

  // --- traversal_signals.cpp -------------------------------------------------------------------------------------
  void on_signal(Instant now, const ice::Description& description);
  void on_signal(Instant now, const CandidateSignal& signal);
  void on_signal(Instant now, const CandidatesEnd& end);
  void on_signal(Instant now, const PathSignal& path);
  void take_description(Instant now, const ice::Description& description);
  void classify_again(Instant now);

  LocalAddresses local_;
  std::optional<Endpoint> relayed_;  ///< as the agent knows it
  bool relay_up_ = false, closed_ = false;
  std::map<PathId, ValidPair> valid_;
  std::deque<Transmit> outbound_;

  Instant started_;
  std::optional<Instant> restarted_, retold_;
  std::optional<Instant> restart_at_;  ///< unless a direct path works by then
  std::optional<Instant> gather_until_;
  std::optional<Instant> unheard_until_;  ///< by when the far end should have described itself
  std::optional<Instant>
      doubted_until_;  ///< after a change of network: the direct path is given the time to prove itself
  TokenBucket descriptions_;
  std::optional<ice::Description> next_description_;  ///< came too soon after others
  std::optional<Instant> next_description_at_;

  std::optional<PathChanged> current_;
  Instant since_{};
  std::optional<std::chrono::milliseconds> time_to_direct_;
  std::uint64_t switches_ = 0, fallbacks_ = 0, restarts_ = 0, transmits_dropped_ = 0;
};

}  // namespace higgs::path
