#include "ice/testing/ice_network.h"

#include <algorithm>

#include "base/assert.h"

namespace higgs::ice::testing {

Endpoint at(std::string_view text) {
  const auto endpoint = Endpoint::parse(text);
  HIGGS_ASSERT(endpoint);
  return *endpoint;
}

std::size_t End::requests() const {
  return static_cast<std::size_t>(std::count_if(sent.begin(), sent.end(), [](const Sent& s) { return s.request; }));
}

std::set<Endpoint> End::destinations() const {
  std::set<Endpoint> out;
  for (const auto& s : sent)
    if (s.request && s.base != Base::kRelay) out.insert(s.to);
  return out;
}

std::vector<Pair> End::valid() const {
  std::map<PairId, Pair> pairs;
  for (const auto& event : events) {
    if (const auto* found = std::get_if<PairValid>(&event)) pairs[found->pair.id] = found->pair;
    if (const auto* lost = std::get_if<PairLost>(&event)) pairs.erase(lost->pair);
  }
  std::vector<Pair> out;
  for (const auto& [id, pair] : pairs) out.push_back(pair);
  return out;
}

Endpoint End::outside_of(const Endpoint& from, const Endpoint& to) {
  if (addresses.nat == Nat::kNone || from.address.is_v6()) return from;
  const auto key = std::pair(from, addresses.nat == Nat::kSymmetric ? to : Endpoint{});
  auto [mapping, added] = mappings.try_emplace(key, next_port);
  if (added) inside[next_port++] = from;
  allowed.insert({mapping->second, to});
  return {addresses.outside, mapping->second};
}

Endpoint End::reflexive() { return outside_of(*addresses.v4, at("203.0.113.10:3478")); }

End& Network::add(const End::Addresses& addresses, Options options) {
  End& end = ends_.emplace_back();
  end.addresses = addresses;
  end.random = std::make_unique<SeededRandom>(random_());
  end.agent = std::make_unique<Agent>(now_, std::move(options), *end.random);
  return end;
}

void Network::gather(End& end) {
  const auto& own = end.addresses;
  if (own.v6) end.agent->add_local_candidate(now_, CandidateType::kHost, *own.v6);
  if (own.v4) end.agent->add_local_candidate(now_, CandidateType::kHost, *own.v4);
  if (own.v4 && own.nat != Nat::kNone)
    end.agent->add_local_candidate(now_, CandidateType::kServerReflexive, end.reflexive());
  if (own.relayed) end.agent->add_local_candidate(now_, CandidateType::kRelayed, *own.relayed);
  drain();
}

void Network::describe(End& from, End& to) {
  to.agent->set_remote_description(now_, from.agent->local_description());
  drain();
}

void Network::describe_later(End& from, End& to, std::chrono::milliseconds delay) {
  later(delay, [this, &to, description = from.agent->local_description()] {
    to.agent->set_remote_description(now_, description);
  });
}

void Network::signal(End& a, End& b, std::chrono::milliseconds delay) {
  for (auto [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    describe_later(*from, *to, delay);
    signalled_[from] = {to, delay};
    for (const auto& event : from->events)
      if (const auto* found = std::get_if<CandidateFound>(&event))
        later(delay, [this, target = to, candidate = found->candidate,
                      generation = from->agent->local_description().generation] {
          target->agent->add_remote_candidate(now_, candidate, generation);
        });
  }
}

void Network::later(std::chrono::nanoseconds delay, std::function<void()> what) {
  queue_.emplace(now_ + delay, std::move(what));
}

void Network::drain() {
  for (auto& end : ends_) drain(end);
}

void Network::drain(End& end) {
  while (auto transmit = end.agent->poll_transmit()) {
    const bool request = (std::to_integer<unsigned>(transmit->bytes[0]) & 1) == 0 &&
                         (std::to_integer<unsigned>(transmit->bytes[1]) & 0x10) == 0;
    end.sent.push_back({now_, transmit->base, transmit->to, request, std::move(transmit->bytes)});
    route(end, end.sent.back());
  }
  while (auto event = end.agent->poll_event()) {
    const auto told = signalled_.find(&end);
    if (const auto* found = std::get_if<CandidateFound>(&*event); found != nullptr && told != signalled_.end())
      later(told->second.second, [this, to = told->second.first, candidate = found->candidate,
                                  generation = end.agent->local_description().generation] {
        to->agent->add_remote_candidate(now_, candidate, generation);
      });
    end.events.push_back(std::move(*event));
  }
}

End* Network::other(const End& end) {
  for (auto& candidate : ends_)
    if (&candidate != &end) return &candidate;
  return nullptr;
}

void Network::route(End& from, const Sent& sent) {
  if (sent.base == Base::kRelay) {
    later(relay_delay, [this, to = other(from), bytes = sent.bytes] { deliver(to, Base::kRelay, {}, bytes); });
    return;
  }
  std::optional<Endpoint> source = from.addresses.relayed;
  if (sent.base == Base::kTurn) {
    from.permitted.insert(sent.to.address);
  } else {
    const auto& own = sent.to.address.is_v6() ? from.addresses.v6 : from.addresses.v4;
    source = own ? std::optional(from.outside_of(*own, sent.to)) : std::nullopt;
  }
  if (!source || (from.silent && sent.base == Base::kSocket)) return;
  if (tap && !tap(from, *source, sent)) return;
  const auto chance = [this] { return std::uniform_real_distribution<>(0, 1)(random_); };
  if (chance() < noise.loss) return;
  for (int copies = chance() < noise.duplicate ? 2 : 1; copies > 0; --copies) {
    const auto delay = std::chrono::milliseconds(
        std::uniform_int_distribution<std::int64_t>(noise.min_delay.count(), noise.max_delay.count())(random_));
    later(delay, [this, to = sent.to, source = *source, bytes = sent.bytes] {
      for (auto& end : ends_) {
        const auto& own = end.addresses;
        if (own.relayed == to) {
          if (end.permitted.contains(source.address)) deliver(&end, Base::kTurn, source, bytes);
        } else if (own.v6 == to || (own.v4 == to && own.nat == Nat::kNone)) {
          if (!end.silent) deliver(&end, Base::kSocket, source, bytes);
        } else if (own.nat != Nat::kNone && to.address == own.outside && end.inside.contains(to.port)) {
          const bool passes = std::any_of(end.allowed.begin(), end.allowed.end(), [&](const auto& hole) {
            if (hole.first != to.port) return false;
            if (own.nat == Nat::kFullCone) return true;
            if (own.nat == Nat::kAddressRestricted) return hole.second.address == source.address;
            return hole.second == source;
          });
          if (passes && !end.silent) deliver(&end, Base::kSocket, source, bytes);
        }
      }
    });
  }
}

void Network::deliver(End* to, Base base, const Endpoint& from, const Bytes& bytes) {
  if (to != nullptr) to->agent->handle_packet(now_, base, from, bytes);
}

bool Network::inject(End& to, const Endpoint& from, ByteView datagram, Base base) {
  const bool taken = to.agent->handle_packet(now_, base, from, datagram);
  drain();
  return taken;
}

bool Network::step(Instant until) {
  drain();
  std::optional<Instant> next;
  if (!queue_.empty()) next = queue_.begin()->first;
  for (auto& end : ends_)
    if (const auto timeout = end.agent->poll_timeout(); timeout && (!next || *timeout < *next)) next = timeout;
  if (!next || *next > until) {
    now_ = until;
    return false;
  }
  now_ = std::max(now_, *next);
  if (!queue_.empty() && queue_.begin()->first <= now_) {
    const auto what = std::move(queue_.begin()->second);
    queue_.erase(queue_.begin());
    what();
  }
  for (auto& end : ends_) {
    if (const auto timeout = end.agent->poll_timeout(); timeout && *timeout <= now_) {
      end.agent->handle_timeout(now_);
      const auto after = end.agent->poll_timeout();
      HIGGS_ASSERT(!after || *after > now_);  // no owner may be made to spin
    }
  }
  drain();
  return true;
}

void Network::run(std::chrono::nanoseconds time) {
  const Instant until = now_ + time;
  while (step(until)) {
  }
}

bool Network::run_until(const std::function<bool()>& condition, std::chrono::nanoseconds most) {
  const Instant until = now_ + most;
  drain();
  while (!condition())
    if (!step(until)) return condition();
  return true;
}

}  // namespace higgs::ice::testing
