#include "ice/agent.h"

#include <algorithm>

#include "ice/agent_impl.h"

namespace higgs::ice {

namespace {

// Of our choosing: what the owner fetches after each call, so that these are never met.
constexpr std::size_t kMaxTransmits = 256, kMaxEvents = 1024;

}  // namespace

Agent::Impl::Impl(Instant now, Options options, RandomSource& random)
    : credentials_(random),
      role_(options.role),
      options_(std::move(options)),
      random_(random),
      tie_breaker_(random.u64()),
      budget_(now, options_.limits.packets_per_second, options_.limits.destinations),
      list_(options_.limits) {}

void Agent::Impl::set_remote_description(Instant now, const Description& description) {
  if (!is_acceptable(description)) {
    ++counters_.malformed;
    return;
  }
  if (remote_ && (description.generation < remote_->generation || description == *remote_)) return;
  // What was valid stays until it is found again or consent ends; all else belongs to the old generation.
  erase_pairs([](const CheckedPair& pair) { return !pair.valid; });
  remote_candidates_.clear();
  remote_ended_ = false;
  remote_ = description;
  const unsigned serial = remote_keys_.empty() ? 0 : remote_keys_.back().serial + 1;
  if (remote_keys_.size() == 2) remote_keys_.erase(remote_keys_.begin());
  remote_keys_.push_back({serial, stun::IntegrityKey::short_term(description.password)});
  begin_attempt(now);

  const Early early = std::exchange(early_, {});
  if (early.generation == description.generation) {
    for (const auto& candidate : early.candidates) take_candidate(now, candidate);  // then the best one goes first
    if (early.end) remote_ended_ = true;
  } else if (early.generation > description.generation) {
    early_ = early;
  }
  for (const auto& check : std::exchange(early_checks_, {}))
    if (check.remote_ufrag == description.ufrag) check_back(now, check.base, check.from, check.priority, check.epoch);
  if (relay_epoch_ != 0) emit(PeerSendsOn{kRelayPair, std::exchange(relay_epoch_, 0)});
  pump(now);
  tell_if_nothing_found();
}

void Agent::Impl::restart(Instant now) {
  credentials_.renew(now, random_);
  early_checks_.clear();
  std::erase_if(remote_candidates_, [&](const RemoteCandidate& remote) {
    return remote.candidate.type == CandidateType::kPeerReflexive &&
           std::none_of(list_.all().begin(), list_.all().end(), [&](const CheckedPair& pair) {
             return pair.valid && pair.pair.remote == remote.candidate.endpoint;
           });
  });
  erase_pairs([&](const CheckedPair& pair) { return !pair.valid; });
  for (auto& pair : list_.all()) list_.reset(now, pair);
  begin_attempt(now);
  for (const auto& local : local_) emit(CandidateFound{local.candidate});
  form_pairs(now);
  pump(now);
  tell_if_nothing_found();
}

void Agent::Impl::recheck(Instant now) {
  nothing_found_told_ = false;
  for (auto& pair : list_.all())
    if (!pair.valid) list_.reset(now, pair);
  form_pairs(now);
  pump(now);
  tell_if_nothing_found();
}

bool Agent::Impl::handle_packet(Instant now, Base base, const Endpoint& given, ByteView datagram) {
  if (!stun::looks_like_stun(datagram)) return false;
  const Endpoint from{given.address.unmapped(), given.port};
  // RFC 8489, figure 3: the two class bits.
  const auto type = load_be<std::uint16_t>(datagram.data());
  bool ours = false;
  if ((type & 0x0100) != 0)
    ours = handle_response(now, base, from, datagram);
  else if ((type & 0x0010) == 0)
    ours = handle_request(now, base, from, datagram);
  tell_if_nothing_found();
  return ours;
}

bool Agent::Impl::send_probe(Instant now, PairId pair, std::uint32_t probe, std::uint32_t epoch) {
  if (probes_.size() >= kMaxProbes || find(pair) == nullptr) return false;
  if (const CheckedPair* checked = list_.find(pair); pair != kRelayPair && (checked == nullptr || !checked->valid))
    return false;
  if (epoch != 0) epoch_ = epoch;
  probes_.push_back({pair, probe, epoch});
  pump(now);
  return true;
}

void Agent::Impl::handle_timeout(Instant now) {
  list_.expire(now);
  expire_consent(now);
  pump(now);
  tell_if_nothing_found();
}

std::optional<Instant> Agent::Impl::poll_timeout() const {
  if (!remote_) return std::nullopt;
  std::optional<Instant> earliest;
  const auto at = [&earliest](std::optional<Instant> when) {
    if (when && (!earliest || *when < *earliest)) earliest = when;
  };
  if (!probes_.empty()) at(budget_.next_probe());
  for (const auto& pair : list_.all()) {
    if (!pair.valid) continue;
    at(pair.consent.expires());
    at(std::max(pair.consent.next(), budget_.next_probe()));
  }
  if (const auto request = list_.next_request()) at(std::max(*request, budget_.next_check()));
  at(list_.next_expiry());
  at(budget_.renewal());
  return earliest;
}

std::optional<Transmit> Agent::Impl::poll_transmit() {
  if (transmits_.empty()) return std::nullopt;
  Transmit out = std::move(transmits_.front());
  transmits_.pop_front();
  return out;
}

std::optional<Event> Agent::Impl::poll_event() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Agent::Impl::transmit(Base base, const Endpoint& to, Bytes bytes) {
  if (bytes.empty() || transmits_.size() >= kMaxTransmits) return;
  transmits_.push_back({base, to, std::move(bytes)});
}

void Agent::Impl::emit(Event event) {
  // What is told again by the next probe may be lost; what is told once may not.
  const bool repeated = std::holds_alternative<PeerSendsOn>(event) || std::holds_alternative<ProbeAnswered>(event);
  if (repeated && events_.size() >= kMaxEvents) return;
  events_.push_back(std::move(event));
}

const Pair* Agent::Impl::find(PairId id) const noexcept {
  if (id == kRelayPair) return remote_ ? &relay_pair_ : nullptr;
  const CheckedPair* pair = list_.find(id);
  return pair == nullptr ? nullptr : &pair->pair;
}

std::optional<PairId> Agent::Impl::pair_of(Base base, const Endpoint& remote) const noexcept {
  if (base == Base::kRelay) return remote_ ? std::optional(kRelayPair) : std::nullopt;
  for (const auto& pair : list_.all())
    if (pair.valid && pair.pair.base == base && pair.pair.remote == remote) return pair.pair.id;
  return std::nullopt;
}

Agent::Agent(Instant now, Options options, RandomSource& random)
    : impl_(std::make_unique<Impl>(now, std::move(options), random)) {}
Agent::~Agent() = default;

const Description& Agent::local_description() const noexcept { return impl_->credentials_.current(); }
const std::optional<Description>& Agent::remote_description() const noexcept { return impl_->remote_; }
Role Agent::role() const noexcept { return impl_->role_; }
void Agent::add_local_candidate(Instant now, CandidateType type, const Endpoint& endpoint) {
  impl_->add_local_candidate(now, type, endpoint);
}
void Agent::remove_local_candidate(Instant now, const Endpoint& endpoint) {
  impl_->remove_local_candidate(now, endpoint);
}
void Agent::set_local_networks(std::vector<IpPrefix> networks) { impl_->set_local_networks(std::move(networks)); }
void Agent::set_remote_description(Instant now, const Description& description) {
  impl_->set_remote_description(now, description);
}
bool Agent::add_remote_candidate(Instant now, const Candidate& candidate, std::uint32_t generation) {
  return impl_->add_remote_candidate(now, candidate, generation);
}
void Agent::end_of_remote_candidates(Instant now, std::uint32_t generation) {
  impl_->end_of_remote_candidates(now, generation);
}
void Agent::add_predicted_candidates(Instant now, const std::vector<Endpoint>& endpoints) {
  impl_->add_predicted_candidates(now, endpoints);
}
void Agent::restart(Instant now) { impl_->restart(now); }
void Agent::recheck(Instant now) { impl_->recheck(now); }
bool Agent::handle_packet(Instant now, Base base, const Endpoint& from, ByteView datagram) {
  return impl_->handle_packet(now, base, from, datagram);
}
bool Agent::send_probe(Instant now, PairId pair, std::uint32_t probe, std::uint32_t epoch) {
  return impl_->send_probe(now, pair, probe, epoch);
}
void Agent::handle_timeout(Instant now) { impl_->handle_timeout(now); }
std::optional<Instant> Agent::poll_timeout() const { return impl_->poll_timeout(); }
std::optional<Transmit> Agent::poll_transmit() { return impl_->poll_transmit(); }
std::optional<Event> Agent::poll_event() { return impl_->poll_event(); }
const Pair* Agent::find(PairId pair) const noexcept { return impl_->find(pair); }
std::optional<PairId> Agent::pair_of(Base base, const Endpoint& remote) const noexcept {
  return impl_->pair_of(base, remote);
}
const Counters& Agent::counters() const noexcept { return impl_->counters_; }

std::optional<std::string_view> target_ufrag(ByteView datagram) noexcept {
  if (!stun::looks_like_stun(datagram) || (load_be<std::uint16_t>(datagram.data()) & 0x0110) != 0) return std::nullopt;
  const auto message = stun::parse(datagram);
  if (!message) return std::nullopt;
  const auto username = read_username(*message);
  return username ? std::optional(username->local) : std::nullopt;
}

}  // namespace higgs::ice
