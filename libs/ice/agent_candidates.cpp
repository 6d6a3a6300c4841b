// Candidates of both ends, and the pairs made of them (RFC 8445, sections 5.1 and 6.1.2).
#include <algorithm>

#include "ice/agent_impl.h"
#include "ice/special_range.h"

namespace higgs::ice {

namespace {

// Of our choosing.
constexpr std::size_t kMaxPeerReflexive = 8;
constexpr std::size_t kMaxReflexiveOfTurn = 2;  // and so many more

constexpr Base base_of(CandidateType type) noexcept {
  return type == CandidateType::kRelayed ? Base::kTurn : Base::kSocket;
}

/// RFC 8445, section 5.1.1.3: the same for candidates of one type and address.
std::string foundation_of(CandidateType type, const IpAddress& address) {
  std::uint32_t value = 0x811c9dc5;  // FNV-1a
  const auto mix = [&value](unsigned byte) { value = (value ^ byte) * 0x01000193; };
  mix(static_cast<unsigned>(type));
  for (const std::byte byte : address.bytes()) mix(std::to_integer<unsigned>(byte));
  ByteArray<4> bytes;
  store_be(bytes.data(), value);
  return to_hex(bytes);
}

}  // namespace

void Agent::Impl::add_local_candidate(Instant now, CandidateType type, const Endpoint& given) {
  const Endpoint endpoint{given.address.unmapped(), given.port};
  const Base base = base_of(type);
  const auto known = std::find_if(local_.begin(), local_.end(), [&](const LocalCandidate& local) {
    return local.base == base && local.candidate.endpoint == endpoint;
  });
  const bool is_new = known == local_.end();
  if ((!is_new && known->candidate.type == type) || endpoint.port == 0 || is_unusable(endpoint.address)) return;
  if (is_new && local_.size() >= options_.limits.local_candidates) {
    ++counters_.candidates_dropped;
    return;
  }
  const auto alike = static_cast<unsigned>(std::count_if(
      local_.begin(), local_.end(), [&](const LocalCandidate& local) { return local.candidate.type == type; }));
  // Those added first are preferred: a local preference that falls (RFC 8445, section 5.1.2.1).
  const auto preference = static_cast<unsigned>(options_.limits.local_candidates) - std::min<unsigned>(alike, 16);
  const Candidate candidate{type, endpoint, candidate_priority(type, endpoint.address, preference),
                            foundation_of(type, endpoint.address)};
  if (is_new)
    local_.push_back({base, candidate});
  else
    known->candidate = candidate;
  emit(CandidateFound{candidate});
  form_pairs(now);
  pump(now);
}

void Agent::Impl::remove_local_candidate(Instant now, const Endpoint& given) {
  const Endpoint endpoint{given.address.unmapped(), given.port};
  const auto gone = std::find_if(local_.begin(), local_.end(),
                                 [&](const LocalCandidate& local) { return local.candidate.endpoint == endpoint; });
  if (gone == local_.end()) return;
  const Base base = gone->base;
  local_.erase(gone);
  // All pairs of the shared socket have that socket for their base, whatever address they left by: while one address
  // of the family is left they may work on, and are only checked again.
  const bool last = best_local(base, endpoint.address) == nullptr;
  if (last)
    erase_pairs([&](const CheckedPair& pair) {
      return pair.pair.base == base && pair.pair.remote.address.is_v6() == endpoint.address.is_v6();
    });
  for (auto& pair : list_.all())
    if (pair.valid && pair.pair.base == base && pair.mapped == endpoint) list_.reset(now, pair);
  form_pairs(now);
  pump(now);
  tell_if_nothing_found();
}

void Agent::Impl::set_local_networks(std::vector<IpPrefix> networks) {
  options_.local_networks = std::move(networks);
  form_pairs(Instant{});  // due at once
}

bool Agent::Impl::add_remote_candidate(Instant now, const Candidate& given, std::uint32_t generation) {
  Candidate candidate = given;
  candidate.endpoint.address = candidate.endpoint.address.unmapped();
  if (!remote_ || generation > remote_->generation) {
    if (generation < early_.generation) return false;
    if (generation > early_.generation) early_ = {generation, {}, false};
    if (early_.candidates.size() >= options_.limits.remote_candidates) {
      ++counters_.candidates_dropped;
      return false;
    }
    early_.candidates.push_back(candidate);
    return true;
  }
  if (generation != remote_->generation || !take_candidate(now, candidate)) return false;
  pump(now);
  return true;
}

bool Agent::Impl::take_candidate(Instant now, const Candidate& candidate) {
  if (candidate.endpoint.port == 0 || is_unusable(candidate.endpoint.address)) {
    ++counters_.candidates_dropped;
    return false;
  }
  if (RemoteCandidate* known = find_remote(candidate.endpoint)) {
    rename(now, *known, candidate);
    return true;
  }
  const auto told = static_cast<std::size_t>(
      std::count_if(remote_candidates_.begin(), remote_candidates_.end(), [](const RemoteCandidate& remote) {
        return remote.candidate.type != CandidateType::kPeerReflexive && !remote.predicted;
      }));
  if (told >= options_.limits.remote_candidates) {
    ++counters_.candidates_dropped;
    return false;
  }
  remote_candidates_.push_back({candidate, false, false});
  form_pairs(now);
  return true;
}

/// A peer-reflexive one is now told by name (RFC 8838, section 11.4), a guess was right, or the far end's router lets
/// everybody in where it kept us out: then what failed is checked again, once in a generation.
void Agent::Impl::rename(Instant now, RemoteCandidate& known, const Candidate& candidate) {
  const bool opened =
      candidate.type == CandidateType::kPortMapped && known.candidate.type == CandidateType::kServerReflexive;
  if (known.candidate.type != CandidateType::kPeerReflexive && !known.predicted && !opened) return;
  known.candidate = candidate;
  known.predicted = false;
  for (auto& pair : list_.all()) {
    if (pair.pair.remote != candidate.endpoint) continue;
    pair.pair.remote_type = candidate.type;
    pair.predicted = false;
    pair.priority = priority_of(pair.pair.base, known);
    if (opened && !pair.valid) list_.reset(now, pair);
  }
  if (opened) nothing_found_told_ = false;
}

void Agent::Impl::end_of_remote_candidates(Instant now, std::uint32_t generation) {
  if (!remote_ || generation > remote_->generation) {
    if (generation > early_.generation) early_ = {generation, {}, false};
    if (generation == early_.generation) early_.end = true;
    return;
  }
  if (generation != remote_->generation) return;
  remote_ended_ = true;
  pump(now);
  tell_if_nothing_found();
}

void Agent::Impl::add_predicted_candidates(Instant now, const std::vector<Endpoint>& endpoints) {
  for (const auto& given : endpoints) {
    const Endpoint endpoint{given.address.unmapped(), given.port};
    if (endpoint.port == 0 || is_unusable(endpoint.address) || find_remote(endpoint) != nullptr) continue;
    const auto predicted =
        static_cast<std::size_t>(std::count_if(remote_candidates_.begin(), remote_candidates_.end(),
                                               [](const RemoteCandidate& remote) { return remote.predicted; }));
    if (predicted >= options_.limits.destinations) {
      ++counters_.candidates_dropped;
      continue;
    }
    const auto type = CandidateType::kServerReflexive;
    remote_candidates_.push_back({{type, endpoint, candidate_priority(type, endpoint.address), {}}, true, false});
  }
  form_pairs(now);
  pump(now);
}

void Agent::Impl::form_pairs(Instant now) {
  if (!remote_) return;
  for (const auto& remote : remote_candidates_)
    for (const Base base : {Base::kSocket, Base::kTurn})
      if (list_.find(base, remote.candidate.endpoint) == nullptr) form_pair(now, base, remote);
}

CheckedPair* Agent::Impl::form_pair(Instant now, Base base, const RemoteCandidate& remote) {
  const Endpoint& to = remote.candidate.endpoint;
  const LocalCandidate* local = best_local(base, to.address);
  if (local == nullptr || !may_check(base, to.address, remote.proven)) return nullptr;
  const Pair pair{kRelayPair, base, to, local->candidate.type, remote.candidate.type};
  CheckedPair* added = list_.add(now, pair, priority_of(base, remote), remote.predicted);
  if (added == nullptr) {
    ++counters_.candidates_dropped;
    return nullptr;
  }
  added->proven = remote.proven;
  nothing_found_told_ = false;
  return added;
}

// Who proved by the password to be the peer and stands on a network of ours may be answered with a check; other special
// addresses never, since a request's source may be anything. Public addresses of our own networks are as much our home,
// and lie behind the router's firewall too: who only follows waits there until the peer has shown itself.
bool Agent::Impl::may_check(Base base, const IpAddress& remote, bool proven) const noexcept {
  if (is_unusable(remote)) return false;
  const bool nearby = std::any_of(options_.local_networks.begin(), options_.local_networks.end(),
                                  [&](const IpPrefix& network) { return network.contains(remote); });
  const bool trusted = proven || options_.probe_private;
  if (is_special(remote)) return base == Base::kSocket && nearby && trusted;
  return base != Base::kSocket || !nearby || trusted || options_.role == Role::kControlling;
}

const Agent::Impl::LocalCandidate* Agent::Impl::best_local(Base base, const IpAddress& family) const noexcept {
  const LocalCandidate* best = nullptr;
  for (const auto& local : local_)
    if (local.base == base && local.candidate.endpoint.address.is_v6() == family.is_v6() &&
        (best == nullptr || local.candidate.priority > best->candidate.priority))
      best = &local;
  return best;
}

Agent::Impl::RemoteCandidate* Agent::Impl::find_remote(const Endpoint& endpoint) noexcept {
  const auto found = std::find_if(remote_candidates_.begin(), remote_candidates_.end(),
                                  [&](const RemoteCandidate& remote) { return remote.candidate.endpoint == endpoint; });
  return found == remote_candidates_.end() ? nullptr : &*found;
}

// RFC 8445, section 7.3.1.3. Their number is bounded: one whose check came to nothing makes room.
Agent::Impl::RemoteCandidate* Agent::Impl::learn_remote(Base base, const Endpoint& endpoint, std::uint32_t priority) {
  if (RemoteCandidate* known = find_remote(endpoint)) {
    known->proven = true;
    return known;
  }
  const auto is_learnt = [](const RemoteCandidate& remote) {
    return remote.candidate.type == CandidateType::kPeerReflexive;
  };
  // What two symmetric NATs show of each other leads nowhere and fills this up; what comes through TURN leads
  // somewhere.
  const std::size_t most = kMaxPeerReflexive + (base == Base::kTurn ? kMaxReflexiveOfTurn : 0);
  if (std::count_if(remote_candidates_.begin(), remote_candidates_.end(), is_learnt) >=
      static_cast<std::ptrdiff_t>(most)) {
    const auto useless = std::find_if(remote_candidates_.begin(), remote_candidates_.end(), [&](const auto& remote) {
      return is_learnt(remote) && std::all_of(list_.all().begin(), list_.all().end(), [&](const CheckedPair& pair) {
               return pair.pair.remote != remote.candidate.endpoint || pair.state == CheckState::kFailed;
             });
    });
    if (useless == remote_candidates_.end()) {
      ++counters_.candidates_dropped;
      return nullptr;
    }
    const Endpoint gone = useless->candidate.endpoint;
    remote_candidates_.erase(useless);
    erase_pairs([&](const CheckedPair& pair) { return pair.pair.remote == gone; });
  }
  remote_candidates_.push_back({{CandidateType::kPeerReflexive, endpoint, priority, {}}, false, true});
  return &remote_candidates_.back();
}

std::uint64_t Agent::Impl::priority_of(Base base, const RemoteCandidate& remote) const noexcept {
  const LocalCandidate* local = best_local(base, remote.candidate.endpoint.address);
  const std::uint32_t ours = local == nullptr ? 0 : local->candidate.priority;
  const std::uint32_t theirs = remote.candidate.priority;
  return role_ == Role::kControlling ? pair_priority(ours, theirs) : pair_priority(theirs, ours);
}

void Agent::Impl::lose(CheckedPair& pair) {
  if (!pair.valid) return;
  pair.valid = false;
  pair.peer_sends_on.reset();
  emit(PairLost{pair.pair.id});
}

void Agent::Impl::erase_pairs(const std::function<bool(const CheckedPair&)>& which) {
  for (auto& pair : list_.all())
    if (which(pair)) lose(pair);
  std::erase_if(list_.all(), which);
}

void Agent::Impl::begin_attempt(Instant now) {
  nothing_found_told_ = false;
  std::vector<Endpoint> in_use;
  for (const auto& pair : list_.all())
    if (pair.valid) in_use.push_back(pair.pair.remote);
  budget_.begin_attempt(now, in_use);
  if (budget_.renewal()) return;
  for (auto& pair : list_.all())
    if (pair.refused) list_.reset(now, pair);
}

// The local end of a valid pair is the candidate that the far end saw (RFC 8445, section 7.2.5.3.1).
void Agent::Impl::set_local_type(CheckedPair& pair, const Endpoint& mapped) noexcept {
  pair.mapped = mapped;
  if (pair.pair.base == Base::kTurn) return;
  pair.pair.local_type = CandidateType::kPeerReflexive;
  for (const auto& local : local_)
    if (local.base == pair.pair.base && local.candidate.endpoint == mapped) pair.pair.local_type = local.candidate.type;
}

}  // namespace higgs::ice
