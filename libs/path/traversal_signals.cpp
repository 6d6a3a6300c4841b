// Messages of the far end. It may be hostile: candidates and pairs are bounded by the agent, descriptions by their
// rate, the rest costs nothing.
#include <algorithm>

#include "path/signal.h"
#include "path/traversal_impl.h"

namespace higgs::path {

bool Traversal::Impl::handle_signal(Instant now, const relay::PeerMessage& message) {
  const auto signal = parse_signal(message);
  if (!signal) return false;
  if (closed_) return true;
  std::visit([&](const auto& one) { on_signal(now, one); }, *signal);
  settle(now);
  return true;
}

void Traversal::Impl::on_signal(Instant now, const ice::Description& description) {
  const auto& known = agent.remote_description();
  // The same generation under other credentials: the far end forgot everything and counts from the beginning.
  if (known && (description.generation < known->generation || description == *known)) return;
  if (next_description_) {
    if (description.generation >= next_description_->generation) next_description_ = description;
    return;
  }
  if (descriptions_.take(now, 1)) return take_description(now, description);
  next_description_ = description;
  next_description_at_ = now + kDescriptionEvery;
}

void Traversal::Impl::take_description(Instant now, const ice::Description& description) {
  const bool restarted = agent.remote_description().has_value();
  agent.set_remote_description(now, description);
  unheard_until_.reset();
  if (!restarted || !checks()) return;
  // A far end that begins anew may have missed what it was told before. Not for each of a flood: what a node may say
  // over its link is for all its sessions together.
  if (retold_ && now - *retold_ < kRetellEvery) return;
  retold_ = now;
  // Fresh guesses need a generation of their own, or they would come on top of the old ones.
  if (announcer.predictions_are_stale())
    restart(now);
  else
    announcer.tell_all();
}

void Traversal::Impl::on_signal(Instant now, const CandidateSignal& signal) {
  if (!checks()) return;
  const auto& remote = agent.remote_description();
  if (signal.candidate.foundation == kPredictedFoundation && remote && remote->generation == signal.generation) {
    agent.add_predicted_candidates(now, {signal.candidate.endpoint});
    return;
  }
  if (agent.add_remote_candidate(now, signal.candidate, signal.generation)) classify_again(now);
}

/// A pair was valid before its remote candidate was told, and that turns out to be on a server.
void Traversal::Impl::classify_again(Instant now) {
  for (auto& [id, known] : valid_) {
    const ice::Pair* pair = agent.find(id);
    if (pair == nullptr || kind_of(*pair) == known.kind) continue;
    known.kind = kind_of(*pair);
    manager.remove(now, id);
    manager.add(now, id, known.kind, std::nullopt);
  }
}

void Traversal::Impl::on_signal(Instant now, const CandidatesEnd& end) {
  agent.end_of_remote_candidates(now, end.generation);
}

void Traversal::Impl::on_signal(Instant now, const PathSignal& path) {
  // Only the relay is one path for certain. Which of several direct ones is meant, the leader's probes say, which it
  // sends with the epoch as soon as it moves.
  if (!options.leads && path.kind == Kind::kRelay) manager.peer_sends_on(now, ice::kRelayPair, path.epoch);
}

}  // namespace higgs::path
