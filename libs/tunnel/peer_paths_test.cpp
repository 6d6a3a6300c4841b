#include "tunnel/peer_paths.h"

#include <gtest/gtest.h>

#include "path/signal.h"

namespace higgs::tunnel {
namespace {

/// Counts what leaves.
class Ways : public PeerPathsOwner {
 public:
  void send_from_port(const Endpoint&, std::span<const ByteView> packets, bool request) override {
    if (request) requests_ += packets.size();
  }
  void send_to_link(const wireguard::PeerAddress&, std::span<const ByteView>) override {}
  void on_turn_packets(const wireguard::PeerAddress&, std::span<const MutableBytes>) override {}
  void on_direct_lost() override {}
  std::uint64_t requests() const noexcept { return requests_; }

 private:
  std::uint64_t requests_ = 0;
};

class Deaf : public TraversalEvents {
 public:
  void on_signal(const wireguard::PublicKey&, relay::PeerMessage) override {}
  void on_path_changed(const wireguard::PublicKey&, path::TraversalReport) override {}
};

TEST(PeerPaths, ManySessionsTogetherHaveABudgetOfChecks) {
  constexpr std::uint32_t kSessions = 600;
  net::EventLoop loop;
  SeededRandom random(7);
  Ways ways;
  Deaf events;
  PeerPaths paths(loop, random, ways);
  const Instant begun = loop.now().monotonic;
  path::LocalAddresses local;
  local.host = {*Endpoint::parse("198.51.100.1:4000")};
  for (std::uint32_t i = 0; i < kSessions; ++i) {
    const auto key = crypto::public_key_of(crypto::make_private_key(random));
    const wireguard::PeerAddress relay = relay_address(1, i + 1);
    path::TraversalOptions options;
    options.leads = false;
    paths.start(key, relay, options, local, 0, events);
    ASSERT_TRUE(paths.handle_signal(
        key, path::encode_signal(ice::Description{1, "ufrag" + std::to_string(i), "aPasswordOfLettersAlone22"})));
    const ice::Candidate victim{ice::CandidateType::kServerReflexive, *Endpoint::parse("203.0.113.80:53"), 1000, "f"};
    ASSERT_TRUE(paths.handle_signal(key, path::encode_signal(path::CandidateSignal{1, victim})));
    ASSERT_EQ(paths.counters().malformed_signals, 0u);
  }
  // Until the budget has held something back, or every session has had its say many times over.
  const auto until = loop.now().monotonic + std::chrono::seconds(20);
  loop.add_end_of_turn([&] {
    if (paths.counters().checks_held > 0 || loop.now().monotonic > until) loop.stop();
  });
  loop.run();
  EXPECT_GT(paths.counters().checks_held, 0u);
  const double seconds = std::chrono::duration<double>(loop.now().monotonic - begun).count();
  EXPECT_LE(static_cast<double>(ways.requests()), PeerPaths::kMaxChecksPerSecond * (1 + seconds));
  EXPECT_GT(ways.requests(), PeerPaths::kMaxChecksPerSecond / 2);
}

}  // namespace
}  // namespace higgs::tunnel
