// A pinned peer: what arrives from elsewhere is taken, and moves nothing.
#include <gtest/gtest.h>

#include "wireguard/messages.h"
#include "wireguard/testing/engine_fixture.h"

namespace higgs::wireguard {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::EnginePair;

/// b is pinned at a, where the path manager put it.
class PinnedPeer : public ::testing::Test {
 protected:
  PinnedPeer() {
    PeerConfig config = pair_.a.peer_config(pair_.b.public_key, {}, pinned_at_);
    config.pinned = true;
    EXPECT_TRUE(pair_.a.set_peer(pair_.now, config));
    pair_.connect();
  }
  std::optional<PeerAddress> address_of_b() const { return pair_.a.engine.peer(pair_.b.public_key)->address; }
  Bytes from_b(std::string_view text) {
    pair_.b.send(pair_.now, pair_.packet_from_b(text));
    return pair_.b.take_outbox().at(0).bytes;
  }
  std::string text_at_a() {
    const auto plain = pair_.a.take_plain();
    return plain.size() == 1 ? std::string(as_text(testing::payload_of(plain[0].bytes))) : "";
  }

  EnginePair pair_;
  const PeerAddress pinned_at_{std::uint64_t{1} << 63 | 1, {}};
  const PeerAddress old_path_ = testing::udp("198.51.100.9:999");
};

TEST_F(PinnedPeer, StatusSaysSo) {
  EXPECT_TRUE(pair_.a.engine.peer(pair_.b.public_key)->pinned);
  EXPECT_FALSE(pair_.b.engine.peer(pair_.a.public_key)->pinned);
  EXPECT_EQ(address_of_b(), pinned_at_) << "also after a handshake whose answer came from elsewhere";
}

TEST_F(PinnedPeer, LatePacketOfTheOldPathIsDeliveredAndMovesNothing) {
  const Bytes late = from_b("late");
  const Bytes newer = from_b("newer");
  pair_.a.receive(pair_.now, pair_.address_b, newer);
  EXPECT_EQ(text_at_a(), "newer");
  pair_.a.receive(pair_.now, old_path_, late);
  EXPECT_EQ(text_at_a(), "late");
  EXPECT_EQ(address_of_b(), pinned_at_);
  pair_.a.send(pair_.now, pair_.packet_from_a("back"));
  EXPECT_EQ(pair_.a.take_outbox().at(0).to, pinned_at_);
}

TEST_F(PinnedPeer, CopyOverTheSecondPathIsAReplay) {
  const Bytes packet = from_b("once");
  pair_.a.receive(pair_.now, pair_.address_b, packet);
  pair_.a.receive(pair_.now, old_path_, packet);
  EXPECT_EQ(text_at_a(), "once");
  EXPECT_EQ(pair_.a.engine.counters().replayed, 1u);
  EXPECT_EQ(address_of_b(), pinned_at_);
}

TEST_F(PinnedPeer, SpoofedPacketMovesNothing) {
  Bytes packet = from_b("forged");
  packet.back() ^= std::byte{1};
  pair_.a.receive(pair_.now, old_path_, packet);
  EXPECT_EQ(text_at_a(), "");
  EXPECT_EQ(pair_.a.engine.counters().bad_tag, 1u);
  EXPECT_EQ(address_of_b(), pinned_at_);
}

TEST_F(PinnedPeer, HandshakeFromElsewhereIsAnsweredAtTheFixedAddress) {
  pair_.advance(seconds(10));
  TransmitList out;
  pair_.b.engine.restart_handshake(pair_.now, pair_.a.public_key, out);
  ASSERT_EQ(out.size(), 1u);
  pair_.a.receive(pair_.now, old_path_, out[0].bytes);
  const auto answer = pair_.a.take_outbox();
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(message_type(answer[0].bytes), MessageType::kResponse);
  EXPECT_EQ(answer[0].to, pinned_at_);
  EXPECT_EQ(address_of_b(), pinned_at_);
}

TEST_F(PinnedPeer, RekeyingGoesOnFromThere) {
  for (int i = 0; i < 5; ++i) {
    pair_.advance(seconds(60));
    pair_.a.send(pair_.now, pair_.packet_from_a("x"));
    pair_.exchange();
  }
  EXPECT_GE(pair_.a.engine.counters().handshakes_completed, 3u);
  EXPECT_EQ(address_of_b(), pinned_at_);
}

TEST_F(PinnedPeer, ThePathManagerMovesItAndItStaysPinned) {
  const PeerAddress elsewhere{std::uint64_t{1} << 63 | 2, {}};
  pair_.a.engine.set_peer_address(pair_.b.public_key, elsewhere);
  EXPECT_TRUE(pair_.a.engine.peer(pair_.b.public_key)->pinned);
  pair_.a.receive(pair_.now, old_path_, from_b("x"));
  EXPECT_EQ(address_of_b(), elsewhere);
}

TEST_F(PinnedPeer, AnUpdateThatDoesNotSaySoKeepsItPinned) {
  EXPECT_TRUE(pair_.a.set_peer(pair_.now, pair_.a.peer_config(pair_.b.public_key, {})));
  EXPECT_TRUE(pair_.a.engine.peer(pair_.b.public_key)->pinned);
}

TEST_F(PinnedPeer, UnpinnedItRoamsAgain) {
  PeerConfig config = pair_.a.peer_config(pair_.b.public_key, {});
  config.pinned = false;
  EXPECT_TRUE(pair_.a.set_peer(pair_.now, config));
  pair_.a.receive(pair_.now, old_path_, from_b("x"));
  EXPECT_EQ(address_of_b(), old_path_);
}

TEST(Pinned, WithoutAnAddressTheFirstPacketGivesOne) {
  EnginePair pair;
  pair.b.engine.remove_peer(pair.a.public_key);
  PeerConfig config = pair.b.peer_config(pair.a.public_key, {testing::prefix("10.0.0.1/32")});
  config.pinned = true;
  EXPECT_TRUE(pair.b.set_peer(pair.now, config));
  pair.connect();
  EXPECT_EQ(pair.b.engine.peer(pair.a.public_key)->address, pair.address_a);
  pair.a.send(pair.now, pair.packet_from_a("moved"));
  pair.b.receive(pair.now, testing::udp("198.51.100.9:999"), pair.a.take_outbox().at(0).bytes);
  EXPECT_EQ(pair.b.take_plain().size(), 1u);
  EXPECT_EQ(pair.b.engine.peer(pair.a.public_key)->address, pair.address_a);
}

}  // namespace
}  // namespace higgs::wireguard
