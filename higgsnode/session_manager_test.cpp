#include "higgsnode/session_manager.h"

#include <gtest/gtest.h>

namespace higgs::node {
namespace {

using namespace std::chrono_literals;
using relay::CloseReason;
using relay::RefusalReason;

class RecordedPeers final : public PeerTable {
 public:
  struct Peer {
    std::vector<IpPrefix> addresses;
    wireguard::PeerAddress where;
  };
  Result<void> add(const crypto::PublicKey& key, const std::vector<IpPrefix>& addresses,
                   const wireguard::PeerAddress& where) override {
    if (full) return make_error_code(tunnel::TunnelError::kLimit);
    peers[key] = {addresses, where};
    ++added;
    return {};
  }
  Result<void> move(const crypto::PublicKey& key, const wireguard::PeerAddress& where) override {
    const auto found = peers.find(key);
    if (found == peers.end()) return make_error_code(tunnel::TunnelError::kNoSuchPeer);
    found->second.where = where;
    return {};
  }
  Result<void> remove(const crypto::PublicKey& key) override {
    peers.erase(key);
    return {};
  }
  std::optional<wireguard::PeerStatus> status(const crypto::PublicKey& key) override {
    if (!peers.contains(key)) return std::nullopt;
    wireguard::PeerStatus status;
    status.public_key = key;
    status.received_bytes = 7;
    return status;
  }
  void relay_lost(const crypto::PublicKey&) override { ++without_relay; }
  bool carried_without_relay(const crypto::PublicKey&) override { return direct; }
  std::map<crypto::PublicKey, Peer> peers;
  int without_relay = 0;
  bool direct = false;
  int added = 0;
  bool full = false;
};

class Sessions : public testing::Test {
 protected:
  static constexpr std::size_t kMost = 3;
  Sessions()
      : manager_(peers_, prefixes(), kMost, [this](const Session& s, const auto& p) {
          ended_.push_back(s.id);
          counted_ += p.has_value();
        }) {
    manager_.set_policy_in_force(true);
  }
  static TunnelPrefixes prefixes() {
    return {IpPrefix::parse("10.80.0.0/16").value(), IpPrefix::parse("fd12:3456::/64")};
  }
  static crypto::PublicKey key(unsigned number) {
    crypto::PublicKey made;
    made.bytes[0] = static_cast<std::byte>(number);
    return made;
  }
  static SessionId id(unsigned number) {
    ByteArray<16> bytes{};
    bytes[0] = static_cast<std::byte>(number);
    return SessionId(Uuid(bytes));
  }
  static relay::SessionOpen request(unsigned number, relay::Channel channel) {
    relay::SessionOpen open;
    open.channel = channel;
    open.wireguard_public_key = key(number);
    open.addresses = {IpPrefix::parse("10.80.1." + std::to_string(number)).value(),
                      IpPrefix::parse("fd12:3456::1:" + std::to_string(number)).value()};
    return open;
  }
  static std::optional<bool> fresh(const SessionManager::Answer& answer) {
    const auto* ready = std::get_if<relay::SessionReady>(&answer);
    return ready != nullptr ? std::optional(ready->fresh) : std::nullopt;
  }
  static std::optional<RefusalReason> refusal(const SessionManager::Answer& answer) {
    const auto* refused = std::get_if<relay::SessionRefused>(&answer);
    return refused != nullptr ? std::optional(refused->reason) : std::nullopt;
  }
  SessionManager::Answer open(unsigned number, tunnel::LinkId link, relay::Channel channel) {
    return manager_.open(now_, link, id(number), request(number, channel));
  }

  Now now_{};
  RecordedPeers peers_;
  std::vector<SessionId> ended_;
  int counted_ = 0;
  SessionManager manager_;
};

TEST_F(Sessions, OpenAddsThePeerBehindItsChannel) {
  EXPECT_EQ(fresh(open(1, 5, 9)), true);
  ASSERT_TRUE(peers_.peers.contains(key(1)));
  EXPECT_EQ(peers_.peers[key(1)].where, tunnel::relay_address(5, 9));
  EXPECT_EQ(peers_.peers[key(1)].addresses, request(1, 9).addresses);
}

TEST_F(Sessions, ReopenedOnANewLinkThePeerMovesAndIsNotFresh) {
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  manager_.link_lost(now_, 5);
  EXPECT_EQ(manager_.size(), 1u);
  EXPECT_EQ(fresh(open(1, 6, 1)), false);
  EXPECT_EQ(peers_.added, 1) << "a peer added anew would lose its WireGuard session";
  EXPECT_EQ(peers_.peers[key(1)].where, tunnel::relay_address(6, 1));
  now_.monotonic += 1h;
  manager_.expire(now_);
  EXPECT_EQ(manager_.size(), 1u);
}

TEST_F(Sessions, AKeyOfAnotherSessionIsRefused) {
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  auto twin = request(2, 10);
  twin.wireguard_public_key = key(1);
  EXPECT_EQ(refusal(manager_.open(now_, 5, id(2), twin)), RefusalReason::kKeyInUse);
  EXPECT_EQ(peers_.peers[key(1)].where, tunnel::relay_address(5, 9));
  // Once the first has ended the key is free.
  manager_.close(now_, 5, id(1), {9, CloseReason::kEnded});
  EXPECT_EQ(fresh(manager_.open(now_, 5, id(2), twin)), true);
}

TEST_F(Sessions, AnAddressOfAnotherSessionIsRefused) {
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  auto thief = request(2, 10);
  thief.addresses[1] = request(1, 9).addresses[1];
  EXPECT_EQ(refusal(manager_.open(now_, 5, id(2), thief)), RefusalReason::kAddressInUse);
  EXPECT_FALSE(peers_.peers.contains(key(2)));
}

TEST_F(Sessions, AddressesThatAreNotAClientsAreRefused) {
  for (const char* bad : {"10.81.0.5", "10.80.0.0", "10.80.0.1", "10.80.255.255", "10.80.1.0/24", "0.0.0.0/0",
                          "192.0.2.1", "fd12:3456::", "fd12:3456::1", "fd12:3456:0:1::5", "::/0", "fd12:3456::/64"}) {
    auto wrong = request(1, 9);
    wrong.addresses[0] = IpPrefix::parse(bad).value();
    EXPECT_EQ(refusal(manager_.open(now_, 5, id(1), wrong)), RefusalReason::kPolicy) << bad;
  }
  auto none = request(1, 9);
  none.addresses.clear();
  EXPECT_EQ(refusal(manager_.open(now_, 5, id(1), none)), RefusalReason::kPolicy);
  EXPECT_EQ(refusal(open(1, 5, 0)), RefusalReason::kPolicy) << "channel 0 is a client's";
  EXPECT_TRUE(peers_.peers.empty());
}

TEST_F(Sessions, ASessionCannotChangeItsKeyOrAddresses) {
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  auto other_key = request(1, 10);
  other_key.wireguard_public_key = key(7);
  EXPECT_EQ(refusal(manager_.open(now_, 5, id(1), other_key)), RefusalReason::kPolicy);
  auto other_address = request(1, 10);
  other_address.addresses = request(2, 10).addresses;
  EXPECT_EQ(refusal(manager_.open(now_, 5, id(1), other_address)), RefusalReason::kPolicy);
  EXPECT_EQ(peers_.peers.size(), 1u);
}

TEST_F(Sessions, CloseOfAChannelThatWasLeftOrIsUnknownChangesNothing) {
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  ASSERT_EQ(fresh(open(1, 5, 11)), false);
  manager_.close(now_, 5, id(1), {9, CloseReason::kClientGone});
  manager_.close(now_, 4, id(1), {11, CloseReason::kClientGone});
  manager_.close(now_, 5, id(2), {1, CloseReason::kEnded});
  EXPECT_EQ(manager_.size(), 1u);
  EXPECT_EQ(manager_.counters().unknown_closes, 3u);
  manager_.close(now_, 5, id(1), {11, CloseReason::kClientGone});
  EXPECT_EQ(manager_.size(), 0u);
  EXPECT_TRUE(peers_.peers.empty());
  EXPECT_EQ(ended_, std::vector{id(1)});
  EXPECT_EQ(counted_, 1) << "the numbers must be read before the peer goes";
}

TEST_F(Sessions, AboveTheLimitAndWhileDrainingNothingNewIsServed) {
  for (unsigned i = 1; i <= kMost; ++i) ASSERT_EQ(fresh(open(i + 1, 5, i)), true);
  EXPECT_EQ(refusal(open(9, 5, 9)), RefusalReason::kFull);
  EXPECT_EQ(fresh(open(2, 6, 1)), false) << "a known session moves even when full";
  manager_.close(now_, 6, id(2), {1, CloseReason::kEnded});
  manager_.drain();
  EXPECT_EQ(refusal(open(9, 5, 9)), RefusalReason::kDraining);
}

TEST_F(Sessions, InMaintenanceTheKnownGoOnAndNobodyElseIsServed) {
  open(1, 10, 5);
  manager_.set_maintenance(true);
  EXPECT_EQ(refusal(open(2, 10, 6)), RefusalReason::kDraining);
  manager_.link_lost(now_, 10);
  EXPECT_TRUE(std::holds_alternative<relay::SessionReady>(open(1, 11, 7))) << "it comes back on another link";
  manager_.set_maintenance(false);
  EXPECT_TRUE(std::holds_alternative<relay::SessionReady>(open(2, 11, 8)));
}

TEST_F(Sessions, ALowerLimitHoldsForThoseWhoCome) {
  open(1, 10, 5);
  open(2, 10, 6);
  manager_.set_most_sessions(1);
  EXPECT_EQ(manager_.size(), 2u);
  EXPECT_EQ(refusal(open(3, 10, 7)), RefusalReason::kFull);
}

TEST_F(Sessions, WithoutThePolicyNobodyIsServedAndWhoWasIsCut) {
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  manager_.set_policy_in_force(false);
  EXPECT_TRUE(peers_.peers.empty());
  EXPECT_EQ(refusal(open(2, 5, 10)), RefusalReason::kPolicy);
  manager_.set_policy_in_force(true);
  EXPECT_EQ(fresh(open(2, 5, 10)), true);
}

TEST_F(Sessions, ASessionWithoutALinkEndsInTime) {
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  ASSERT_EQ(fresh(open(2, 6, 1)), true);
  manager_.link_lost(now_, 5);
  now_.monotonic += SessionManager::kLinklessLifetime - 1ms;
  manager_.expire(now_);
  EXPECT_EQ(manager_.size(), 2u);
  now_.monotonic += 1ms;
  manager_.expire(now_);
  EXPECT_EQ(manager_.size(), 1u);
  EXPECT_FALSE(peers_.peers.contains(key(1)));
  EXPECT_EQ(fresh(open(1, 6, 2)), true) << "it may come back, as a new peer";
}

TEST_F(Sessions, ADeviceThatTakesNoPeerRefusesCleanly) {
  peers_.full = true;
  EXPECT_EQ(refusal(open(1, 5, 9)), RefusalReason::kFull);
  peers_.full = false;
  EXPECT_EQ(fresh(open(1, 5, 9)), true);
  peers_.peers.clear();  // the device lost it
  EXPECT_EQ(refusal(open(1, 5, 10)), RefusalReason::kPolicy);
  EXPECT_EQ(manager_.size(), 0u);
}

TEST_F(Sessions, ADirectPathKeepsASessionWhileThereIsNoLink) {
  manager_.link_up();
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  manager_.link_lost(now_, 5);
  EXPECT_EQ(peers_.without_relay, 1);
  peers_.direct = true;
  for (int look = 0; look < 100; ++look) {
    now_.monotonic += SessionManager::kLinklessLifetime / 2;
    manager_.expire(now_);
  }
  EXPECT_EQ(manager_.size(), 1u);
  peers_.direct = false;
  now_.monotonic += SessionManager::kLinklessLifetime - 1s;
  manager_.expire(now_);
  EXPECT_EQ(manager_.size(), 1u);
  now_.monotonic += 1s;
  manager_.expire(now_);
  EXPECT_EQ(manager_.size(), 0u);
}

TEST_F(Sessions, OnceTheLinkIsBackTheServerSaysWhatGoesOn) {
  manager_.link_up();
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  peers_.direct = true;
  manager_.link_lost(now_, 5);
  manager_.link_up();
  now_.monotonic += SessionManager::kLinklessLifetime;
  manager_.expire(now_);
  EXPECT_EQ(manager_.size(), 0u) << "a session that was ended meanwhile must not go on for ever";
}

class SessionsOfAClientThatIsGone : public Sessions {
 protected:
  SessionsOfAClientThatIsGone() {
    manager_.link_up();
    EXPECT_EQ(fresh(open(1, 5, 9)), true);
    peers_.direct = true;
    manager_.close(now_, 5, id(1), {9, CloseReason::kClientGone});
  }
};

TEST_F(SessionsOfAClientThatIsGone, ADirectPathKeepsThePeerForAWhile) {
  EXPECT_TRUE(peers_.peers.contains(key(1))) << "its client may have lost the relay alone";
  EXPECT_EQ(peers_.without_relay, 1);
  EXPECT_EQ(manager_.find(5, id(1)), nullptr) << "the server speaks for it no more";
  now_.monotonic += SessionManager::kLinklessLifetime - 1ms;
  manager_.expire(now_);
  EXPECT_EQ(manager_.size(), 1u);
  now_.monotonic += 1ms;
  manager_.expire(now_);
  EXPECT_EQ(manager_.size(), 0u) << "for ever it must not go on";
  EXPECT_EQ(manager_.counters().kept, 1u);
}

TEST_F(SessionsOfAClientThatIsGone, ItEndsInTimeAlsoWhenOurOwnLinkIsLostMeanwhile) {
  manager_.link_lost(now_, 5);
  now_.monotonic += SessionManager::kLinklessLifetime;
  manager_.expire(now_);
  EXPECT_EQ(manager_.size(), 0u);
}

TEST_F(SessionsOfAClientThatIsGone, OpenedAgainThePeerMovesAndIsNotFresh) {
  EXPECT_EQ(fresh(open(1, 5, 12)), false);
  EXPECT_EQ(peers_.added, 1);
  EXPECT_EQ(peers_.peers[key(1)].where, tunnel::relay_address(5, 12));
  now_.monotonic += 1h;
  manager_.expire(now_);
  EXPECT_EQ(manager_.size(), 1u);
  manager_.close(now_, 5, id(1), {9, CloseReason::kClientGone});
  EXPECT_NE(manager_.find(5, id(1)), nullptr) << "of the channel before";
}

TEST_F(SessionsOfAClientThatIsGone, ARealEndEndsIt) {
  manager_.close(now_, 5, id(1), {9, CloseReason::kBanned});
  EXPECT_EQ(manager_.size(), 0u);
  EXPECT_TRUE(peers_.peers.empty());
}

TEST_F(SessionsOfAClientThatIsGone, ItHoldsNothingThatAnotherSessionIsGiven) {
  auto heir = request(2, 10);
  heir.addresses[0] = request(1, 9).addresses[0];
  EXPECT_EQ(fresh(manager_.open(now_, 5, id(2), heir)), true);
  EXPECT_FALSE(peers_.peers.contains(key(1)));
  EXPECT_EQ(ended_, std::vector{id(1)});
}

TEST_F(SessionsOfAClientThatIsGone, ItMakesRoomOnAFullNode) {
  for (unsigned i = 2; i <= kMost + 1; ++i) EXPECT_EQ(fresh(open(i, 5, i + 20)), true);
  EXPECT_EQ(ended_, std::vector{id(1)});
  EXPECT_EQ(refusal(open(9, 5, 40)), RefusalReason::kFull) << "those that stand stay";
}

TEST_F(Sessions, AClientThatIsGoneWithoutAnotherPathIsForgotten) {
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  manager_.close(now_, 5, id(1), {9, CloseReason::kClientGone});
  EXPECT_EQ(manager_.size(), 0u);
}

TEST_F(Sessions, AreFoundByTheirLinkAndKey) {
  ASSERT_EQ(fresh(open(1, 5, 9)), true);
  EXPECT_EQ(manager_.find(5, id(1)), manager_.find(key(1)));
  EXPECT_EQ(manager_.find(6, id(1)), nullptr) << "another link speaks for other sessions";
  EXPECT_EQ(manager_.find(5, id(2)), nullptr);
  EXPECT_EQ(manager_.find(key(2)), nullptr);
  manager_.link_lost(now_, 5);
  EXPECT_EQ(manager_.find(5, id(1)), nullptr);
}

}  // namespace
}  // namespace higgs::node
