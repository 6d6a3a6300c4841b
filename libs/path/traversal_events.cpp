// What agent, path manager and TURN allocation say to one another.
#include <algorithm>

#include "ice/special_range.h"
#include "path/traversal_impl.h"
#include "stun/message.h"

namespace higgs::path {

void Traversal::Impl::settle(Instant now) {
  // Each round handles at least one event, and events come from input or time: more rounds than this are a loop
  // between the parts, which then goes on at the next call.
  for (unsigned round = 0; round < kMaxRounds; ++round) {
    settle_turn(now);
    const bool moved = settle_agent(now);
    if (!settle_manager(now) && !moved) break;
  }
  end_gathering(now);
  take_transmits(now);
  update_route();
}

bool Traversal::Impl::settle_agent(Instant now) {
  bool any = false;
  while (const auto event = agent.poll_event()) {
    any = true;
    std::visit([&](const auto& one) { on(now, one); }, *event);
  }
  return any;
}

bool Traversal::Impl::settle_manager(Instant now) {
  bool any = false;
  while (const auto action = manager.poll_action()) {
    any = true;
    std::visit([&](const auto& one) { on(now, one); }, *action);
  }
  return any;
}

void Traversal::Impl::settle_turn(Instant now) {
  const auto relayed = turn ? turn->relayed() : std::nullopt;
  if (relayed == relayed_) return;
  if (relayed_) {
    agent.remove_local_candidate(now, *relayed_);
    announcer.remove(*relayed_);
  }
  relayed_ = relayed;
  if (relayed_) agent.add_local_candidate(now, ice::CandidateType::kRelayed, *relayed_);
}

void Traversal::Impl::take_transmits(Instant now) {
  while (auto out = agent.poll_transmit()) {
    if (out->base == ice::Base::kTurn) {
      if (turn) turn->send(now, out->to, std::move(out->bytes));
      continue;
    }
    if (out->base == ice::Base::kRelay && !relay_up_) continue;
    if (outbound_.size() < kMaxOutbound)
      outbound_.push_back({out->base, out->to, std::move(out->bytes)});
    else
      ++transmits_dropped_;
  }
}

// --- of the agent -------------------------------------------------------------------------------------------------

void Traversal::Impl::on(Instant, const ice::CandidateFound& found) {
  // What the far end may not send to is none of its business.
  if (!options.probe_private && ice::is_special(found.candidate.endpoint.address)) return;
  announcer.add(found.candidate);
}

void Traversal::Impl::on(Instant now, const ice::PairValid& valid) {
  if (valid.pair.id == ice::kRelayPair) return;
  const Kind kind = kind_of(valid.pair);
  valid_[valid.pair.id] = {kind, valid.pair.base, valid.pair.remote};
  if (valid.pair.base == ice::Base::kTurn && turn) turn->keep_peer(now, valid.pair.remote);
  manager.add(now, valid.pair.id, kind, valid.round_trip);
}

void Traversal::Impl::on(Instant now, const ice::PairLost& lost) {
  const auto known = valid_.find(lost.pair);
  if (known == valid_.end()) return;
  if (known->second.base == ice::Base::kTurn && turn) turn->release_peer(known->second.remote);
  valid_.erase(known);
  manager.remove(now, lost.pair);
}

void Traversal::Impl::on(Instant now, const ice::ProbeAnswered& answered) {
  manager.probe_answered(now, answered.pair, answered.probe, answered.round_trip);
}

void Traversal::Impl::on(Instant now, const ice::PeerSendsOn& sends) {
  if (!options.leads) manager.peer_sends_on(now, sends.pair, sends.epoch);
}

void Traversal::Impl::on(Instant now, const ice::NothingFound&) { manager.retry_failed(now); }

/// Who leads is settled by who is the client, not by a conflict between agents.
void Traversal::Impl::on(Instant, const ice::RoleChanged&) {}

// --- of the path manager ------------------------------------------------------------------------------------------

void Traversal::Impl::on(Instant now, const SendProbe& probe) {
  const bool possible = probe.path != ice::kRelayPair || relay_up_;
  if (!possible || !agent.send_probe(now, probe.path, probe.probe, probe.epoch))
    manager.probe_not_sent(now, probe.path, probe.probe);
}

void Traversal::Impl::on(Instant now, const PathChanged& changed) {
  if (current_) {
    ++switches_;
    if (is_direct(current_->kind) && !is_direct(changed.kind)) ++fallbacks_;
    // Its server may have forgotten the allocation, which nobody would notice before the next refresh.
    if (turn && current_->kind == Kind::kTurn && changed.reason == Reason::kLostProbes) turn->network_changed(now);
  }
  if (is_direct(changed.kind) && !time_to_direct_)
    time_to_direct_ = std::chrono::duration_cast<std::chrono::milliseconds>(now - started_);
  current_ = changed;
  since_ = now;
  if (options.leads && changed.epoch != 0) announcer.path_changed({changed.epoch, changed.kind});
}

void Traversal::Impl::on(Instant now, const PathsGone&) {
  if (current_ && is_direct(current_->kind)) ++fallbacks_;
  current_.reset();
  since_ = now;
}

void Traversal::Impl::on(Instant now, const RetryDirect&) {
  // After a change of network the path in use is given a moment first; handle_timeout() looks how it fared.
  if (checks() && !doubted_until_) ask_for_restart(now);
}

/// RFC 8838, section 13: the far end is told once nothing more is to be expected soon.
void Traversal::Impl::end_gathering(Instant now) {
  if (!gather_until_) return;
  const bool all = !local_.reflexive.empty() && (!turn || turn->settled());
  if (checks() && !all && now < *gather_until_) return;
  gather_until_.reset();
  announcer.end();
}

}  // namespace higgs::path
