// Everything at once, by seed: whatever happens to two ends, they keep the budget and find each other afterwards.
#include <gtest/gtest.h>

#include "ice/agent.h"
#include "ice/testing/ice_ends.h"

namespace higgs::ice {
namespace {

using namespace std::chrono_literals;
using testing::at;
using testing::behind;
using testing::End;
using testing::Ends;
using testing::Nat;

class Soak {
 public:
  explicit Soak(std::uint64_t seed) : random_(seed), ends_(side(101), side(102), seed) {
    ends_.network.noise = {.loss = 0.1, .duplicate = 0.1, .min_delay = 5ms, .max_delay = 80ms};
    ends_.connect();
  }

  void disturb() {
    End& end = random_.below(2) == 0 ? ends_.a : ends_.b;
    End& other = &end == &ends_.a ? ends_.b : ends_.a;
    auto& network = ends_.network;
    switch (random_.below(9)) {
      case 0:
        restart(end, other);
        break;
      case 1:
        end.agent->recheck(network.now());
        break;
      case 2:
        end.silent = !end.silent;
        break;
      case 3:
        move(end);
        break;
      case 4:
        ++probe_;
        for (const auto& pair : end.valid()) end.agent->send_probe(network.now(), pair.id, probe_, probe_);
        end.agent->send_probe(network.now(), kRelayPair, probe_, 0);
        break;
      case 5:
        if (!other.sent.empty()) replay(end, other.sent[random_.below(other.sent.size())].bytes);
        break;
      case 6:
        end.agent->add_remote_candidate(
            network.now(), {CandidateType::kServerReflexive, stranger(), 1, "1"},
            end.agent->remote_description() ? end.agent->remote_description()->generation : 1);
        break;
      case 7:
        end.agent->add_predicted_candidates(network.now(), {stranger(), stranger()});
        break;
      default:
        network.run(std::chrono::seconds(random_.below(20)));
    }
    network.run(std::chrono::milliseconds(random_.below(500)));
  }

  /// Peace: they have to hear each other again.
  bool settle() {
    ends_.a.silent = ends_.b.silent = false;
    ends_.network.run(41s);  // consent on what is gone has ended, and attempts have fresh destinations
    restart(ends_.a, ends_.b);
    restart(ends_.b, ends_.a);
    if (!ends_.both_valid(5s)) return false;
    ends_.network.run(5s);
    ends_.network.noise.loss = 0;
    bool heard = true;
    for (End* end : {&ends_.a, &ends_.b}) {
      const auto before = end->count<ProbeAnswered>();
      for (const auto& pair : end->valid()) end->agent->send_probe(ends_.network.now(), pair.id, 1, 0);
      ends_.network.run(1s);
      heard = heard && end->count<ProbeAnswered>() > before;
    }
    return heard;
  }
  std::size_t busiest_second() const {
    std::size_t most = 0;
    for (const End* end : {&ends_.a, &ends_.b}) {
      std::deque<Instant> window;
      for (const auto& sent : end->sent) {
        if (!sent.request) continue;
        window.push_back(sent.when);
        while (sent.when - window.front() >= 1s) window.pop_front();
        most = std::max(most, window.size());
      }
    }
    return most;
  }

 private:
  /// The candidates are told again by themselves.
  void restart(End& end, End& other) {
    end.agent->restart(ends_.network.now());
    ends_.network.drain();
    ends_.network.describe_later(end, other, 30ms);
  }
  End::Addresses side(unsigned number) {
    constexpr Nat kKinds[] = {Nat::kNone, Nat::kFullCone, Nat::kAddressRestricted, Nat::kPortRestricted};
    return behind(kKinds[random_.below(std::size(kKinds))], number);
  }
  Endpoint stranger() {
    return {IpAddress::v4(0xC6336400u + static_cast<std::uint32_t>(random_.below(256))),
            static_cast<std::uint16_t>(1 + random_.below(60000))};
  }
  void replay(End& to, const Bytes& bytes) { ends_.network.inject(to, stranger(), bytes); }
  void move(End& end) {
    auto& own = end.addresses;
    const Endpoint before = *own.v4, reflexive = end.reflexive();
    const auto n = std::to_string((&end == &ends_.a ? 110 : 180) + random_.below(60));  // no address of the other
    own.outside = *IpAddress::parse("203.0.113." + n);
    own.v4 = own.nat == Nat::kNone ? Endpoint{own.outside, 5000} : at("10." + n + ".0.2:5000");
    end.mappings.clear();
    end.inside.clear();
    end.allowed.clear();
    ends_.network.gather(end);
    if (before != *own.v4) end.agent->remove_local_candidate(ends_.network.now(), before);
    if (reflexive != before) end.agent->remove_local_candidate(ends_.network.now(), reflexive);
  }

  SeededRandom random_;
  Ends ends_;
  std::uint32_t probe_ = 1;
};

TEST(IceSoak, BudgetIsKeptAndTheEndsFindEachOther) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Soak soak(seed);
    for (int i = 0; i < 60; ++i) soak.disturb();
    EXPECT_TRUE(soak.settle()) << seed;
    EXPECT_LE(soak.busiest_second(), 40u) << seed;
  }
}

}  // namespace
}  // namespace higgs::ice
