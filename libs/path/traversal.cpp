#include "path/traversal.h"

#include <algorithm>

#include "path/traversal_impl.h"
#include "stun/message.h"

namespace higgs::path {

namespace {

using namespace std::chrono_literals;

ice::Options agent_options(const TraversalOptions& options) {
  ice::Options out;
  out.role = options.leads ? ice::Role::kControlling : ice::Role::kControlled;
  out.limits = options.ice;
  out.probe_private = options.probe_private;
  return out;
}

struct Named {
  ice::CandidateType type;
  Endpoint endpoint;
};

/// In the order of preference within a type, each endpoint once: a router that keeps the port maps it where a server
/// sees it, and only the mapping says that everybody may send there.
std::vector<Named> candidates_of(const LocalAddresses& local) {
  std::vector<Named> out;
  const auto add = [&out](ice::CandidateType type, const std::vector<Endpoint>& endpoints) {
    for (const auto& endpoint : endpoints)
      if (std::ranges::find(out, endpoint, &Named::endpoint) == out.end()) out.push_back({type, endpoint});
  };
  add(ice::CandidateType::kHost, local.host);
  add(ice::CandidateType::kPortMapped, local.mapped);
  add(ice::CandidateType::kServerReflexive, local.reflexive);
  return out;
}

}  // namespace

Traversal::Impl::Impl(Instant now, TraversalOptions given, RandomSource& random)
    : options(std::move(given)),
      manager(now, options.leads, options.policy, options.path, random),
      agent(now, agent_options(options), random),
      started_(now),
      descriptions_(now, 1.0 / std::chrono::duration<double>(kDescriptionEvery).count(), kDescriptionBurst) {
  if (options.turn && options.policy == Policy::kAuto) turn = std::make_unique<TurnLink>(now, *options.turn, random);
  announcer.begin(agent.local_description());
  gather_until_ = now + kGatherFor;
}

// --- this host ----------------------------------------------------------------------------------------------------

void Traversal::Impl::set_local(Instant now, const LocalAddresses& local) {
  if (closed_ || local == local_) return;
  const auto before = candidates_of(local_), after = candidates_of(local);
  local_ = local;
  if (!checks()) return;
  agent.set_local_networks(local_.networks);
  // New ones first: pairs outlive an address while the shared socket has another of its family. And once more, since
  // the agent may have been full.
  const auto add = [&] {
    for (const auto& [type, endpoint] : after) agent.add_local_candidate(now, type, endpoint);
  };
  add();
  bool lost = false;
  for (const auto& [type, endpoint] : before) {
    if (const auto kept = std::ranges::find(after, endpoint, &Named::endpoint); kept != after.end()) {
      lost = lost || (type == ice::CandidateType::kPortMapped && kept->type != type);
      continue;
    }
    agent.remove_local_candidate(now, endpoint);
    announcer.remove(endpoint);
    lost = true;
  }
  if (lost) add();
  announcer.set_predicted(local_.predicted);
  settle(now);
  // An address or a mapping that is gone: the far end sends to it in vain, and should not keep it.
  if (lost) network_changed(now);
}

void Traversal::Impl::network_changed(Instant now) {
  if (closed_) return;
  if (turn) turn->network_changed(now);
  // The sockets stand, so the pairs in use may work on from the new address at once, without a word through a relay
  // link that has perhaps not yet noticed that it is dead. New credentials would spoil that.
  if (checks()) agent.recheck(now);
  if (route.first && route.first->base == ice::Base::kSocket) doubted_until_ = now + kRecheckFor;
  manager.network_changed(now);
  settle(now);
}

void Traversal::Impl::set_relay(Instant now, bool up) {
  if (closed_ || up == relay_up_) return;
  relay_up_ = up;
  announcer.set_open(up);
  if (up) {
    if (options.leads && !agent.remote_description()) unheard_until_ = now + kUnheardFor;
    manager.add(now, ice::kRelayPair, Kind::kRelay, std::nullopt);
  } else {
    manager.remove(now, ice::kRelayPair);
  }
  settle(now);
}

void Traversal::Impl::ask_for_restart(Instant now) {
  if (restarted_ && now - *restarted_ < kRestartEvery)
    restart_at_ = *restarted_ + kRestartEvery;
  else
    restart(now);
}

void Traversal::Impl::restart(Instant now) {
  restart_at_.reset();
  doubted_until_.reset();
  restarted_ = now;
  ++restarts_;
  agent.restart(now);
  announcer.begin(agent.local_description());
  gather_until_ = now + kGatherFor;
}

bool Traversal::Impl::direct_works() const {
  return std::ranges::any_of(manager.status(), [](const PathStatus& path) {
    return path.active && is_direct(path.kind) && path.unanswered == 0;
  });
}

// --- packets ------------------------------------------------------------------------------------------------------

bool Traversal::Impl::handle_stun(Instant now, ice::Base base, const Endpoint& from, ByteView datagram) {
  if (closed_ || (!checks() && base != ice::Base::kRelay)) return false;
  const bool ours = agent.handle_packet(now, base, from, datagram);
  settle(now);
  return ours;
}

std::optional<MutableBytes> Traversal::Impl::handle_turn(Instant now, MutableBytes datagram) {
  if (closed_ || !turn) return std::nullopt;
  const auto data = turn->handle_packet(now, datagram);
  if (data && !stun::looks_like_stun(data->bytes)) {
    note_received(now, {ice::Base::kTurn, data->peer}, 1);
    return data->bytes;
  }
  if (data) agent.handle_packet(now, ice::Base::kTurn, data->peer, data->bytes);
  settle(now);
  return std::nullopt;
}

ByteView Traversal::Impl::wrap_turn(const Endpoint& peer, ByteView packet, MutableBytes buffer) const {
  return turn ? turn->wrap(peer, packet, buffer) : ByteView();
}

void Traversal::Impl::note_received(Instant now, const Hop& from, std::size_t packets) noexcept {
  if (const auto pair = agent.pair_of(from.base, from.to)) manager.note_received(now, *pair, packets);
}

std::optional<Transmit> Traversal::Impl::poll_transmit() {
  if (turn) {
    if (auto bytes = turn->poll_transmit()) return Transmit{ice::Base::kTurn, turn->server(), std::move(*bytes)};
  }
  if (outbound_.empty()) return std::nullopt;
  Transmit out = std::move(outbound_.front());
  outbound_.pop_front();
  return out;
}

std::optional<Hop> Traversal::Impl::hop_of(std::optional<PathId> path) const {
  if (!path) return std::nullopt;
  if (*path == ice::kRelayPair) return Hop{ice::Base::kRelay, {}};
  const auto known = valid_.find(*path);
  if (known == valid_.end()) return std::nullopt;
  return Hop{known->second.base, known->second.remote};
}

void Traversal::Impl::update_route() {
  const auto first = hop_of(manager.active());
  if (first != route.first) path_changed = true;
  route = {first, hop_of(manager.second())};
}

// --- time ---------------------------------------------------------------------------------------------------------

void Traversal::Impl::handle_timeout(Instant now) {
  if (closed_) return;
  const auto due = [now](std::optional<Instant>& at) {
    if (!at || now < *at) return false;
    at.reset();
    return true;
  };
  if (turn) turn->handle_timeout(now);
  agent.handle_timeout(now);
  manager.handle_timeout(now);
  if (due(next_description_at_) && next_description_) {
    const auto description = std::exchange(next_description_, std::nullopt);
    on_signal(now, *description);
  }
  if (due(unheard_until_) && !agent.remote_description()) manager.retry_failed(now);
  settle(now);
  const bool doubted = due(doubted_until_), asked = due(restart_at_);
  if ((doubted || asked) && !direct_works()) {
    ask_for_restart(now);
    settle(now);
  }
}

std::optional<Instant> Traversal::Impl::poll_timeout() const {
  if (closed_) return std::nullopt;
  std::optional<Instant> next;
  for (const auto& at : {agent.poll_timeout(), manager.poll_timeout(), turn ? turn->poll_timeout() : std::nullopt,
                         restart_at_, gather_until_, unheard_until_, doubted_until_, next_description_at_})
    if (at && (!next || *at < *next)) next = at;
  return next;
}

void Traversal::Impl::close(Instant now) {
  if (closed_) return;
  closed_ = true;
  outbound_.clear();
  announcer.set_open(false);
  if (turn) turn->close(now);
}

TraversalReport Traversal::Impl::report() const {
  TraversalReport out;
  out.paths = manager.status();
  const auto active = std::ranges::find(out.paths, true, &PathStatus::active);
  if (active != out.paths.end()) {
    out.path = active->kind;
    out.round_trip = active->round_trip;
    out.loss = active->loss;
  }
  if (current_) out.reason = current_->reason;
  if (route.first && route.first->base != ice::Base::kRelay) out.remote = route.first->to;
  out.since = since_;
  out.time_to_direct = time_to_direct_;
  out.switches = switches_;
  out.fallbacks = fallbacks_;
  out.restarts = restarts_;
  out.dropped = announcer.dropped() + transmits_dropped_;
  out.ice = agent.counters();
  return out;
}

// --- Traversal ----------------------------------------------------------------------------------------------------

Traversal::Traversal(Instant now, TraversalOptions options, RandomSource& random)
    : impl_(std::make_unique<Impl>(now, std::move(options), random)) {}
Traversal::~Traversal() = default;

void Traversal::set_local(Instant now, const LocalAddresses& local) { impl_->set_local(now, local); }
void Traversal::network_changed(Instant now) { impl_->network_changed(now); }
void Traversal::set_relay(Instant now, bool up) { impl_->set_relay(now, up); }
bool Traversal::handle_signal(Instant now, const relay::PeerMessage& message) {
  return impl_->handle_signal(now, message);
}
bool Traversal::handle_stun(Instant now, ice::Base base, const Endpoint& from, ByteView datagram) {
  return impl_->handle_stun(now, base, from, datagram);
}
std::optional<MutableBytes> Traversal::handle_turn(Instant now, MutableBytes datagram) {
  return impl_->handle_turn(now, datagram);
}
ByteView Traversal::wrap_turn(const Endpoint& peer, ByteView packet, MutableBytes buffer) {
  return impl_->wrap_turn(peer, packet, buffer);
}
std::optional<Endpoint> Traversal::turn_server() const noexcept {
  return impl_->turn ? std::optional(impl_->turn->server()) : std::nullopt;
}
const Route& Traversal::route() const noexcept { return impl_->route; }
void Traversal::note_sent(Instant now, std::size_t packets) noexcept { impl_->manager.note_sent(now, packets); }
void Traversal::note_received(Instant now, const Hop& from, std::size_t packets) noexcept {
  impl_->note_received(now, from, packets);
}
void Traversal::handle_timeout(Instant now) { impl_->handle_timeout(now); }
std::optional<Instant> Traversal::poll_timeout() const { return impl_->poll_timeout(); }
std::optional<Transmit> Traversal::poll_transmit() { return impl_->poll_transmit(); }
std::optional<relay::PeerMessage> Traversal::poll_signal() { return impl_->announcer.poll(); }
bool Traversal::poll_path_changed() noexcept { return std::exchange(impl_->path_changed, false); }
const std::string& Traversal::local_ufrag() const noexcept { return impl_->agent.local_description().ufrag; }
TraversalReport Traversal::report(Instant) const { return impl_->report(); }
void Traversal::close(Instant now) { impl_->close(now); }

}  // namespace higgs::path
