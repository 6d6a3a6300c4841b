// Requests to the TURN server: credentials, Allocate, Refresh, and what bounds them.
#include "turn/turn_server.h"

#include <gtest/gtest.h>

#include "turn/nonce_mint.h"
#include "turn/testing/server_world.h"

namespace higgs::turn {
namespace {

using namespace std::chrono_literals;
using stun::AttributeType;
using testing::Answer;
using testing::endpoint;
using testing::TestClient;
using testing::World;

const Endpoint kOwner = endpoint("192.0.2.7:40000");

unsigned error_of(const std::optional<Answer>& answer) {
  EXPECT_TRUE(answer) << "no answer at all";
  return answer ? answer->error : 1;
}
bool ok(const std::optional<Answer>& answer) { return answer && answer->ok(); }

std::vector<Endpoint> relayed_of(const Answer& answer) {
  std::vector<Endpoint> all;
  for (const auto& attribute : answer.message.all()) {
    if (attribute.type != static_cast<std::uint16_t>(AttributeType::kXorRelayedAddress)) continue;
    stun::Message alone;
    alone.transaction = answer.message.transaction;
    alone.attributes[0] = attribute;
    alone.attribute_count = 1;
    all.push_back(*alone.xor_address(AttributeType::kXorRelayedAddress));
  }
  return all;
}

auto family(std::uint8_t number) {
  return [number](stun::MessageBuilder& builder) {
    builder.add_u32(AttributeType::kRequestedAddressFamily, std::uint32_t{number} << 24);
  };
}
auto lifetime(std::uint32_t seconds) {
  return [seconds](stun::MessageBuilder& builder) { builder.add_u32(AttributeType::kLifetime, seconds); };
}
auto even_port(bool reserve) {
  return [reserve](stun::MessageBuilder& builder) {
    builder.add(AttributeType::kEvenPort, ByteArray<1>{reserve ? std::byte{0x80} : std::byte{0}});
  };
}
auto token(std::uint64_t value) {
  return [value](stun::MessageBuilder& builder) { builder.add_u64(AttributeType::kReservationToken, value); };
}

Server::Options both_families() {
  Server::Options options;
  options.ipv6 = true;
  return options;
}

// --- credentials -------------------------------------------------------------------------------------------------

TEST(TurnCredentials, WithoutThemAChallengeThatIsShort) {
  World world;
  TestClient client(world, kOwner);
  for (const std::size_t padding : {0u, 8u, 200u}) {
    ByteArray<512> buffer;
    stun::MessageBuilder builder(buffer, stun::MessageClass::kRequest, stun::kAllocateMethod, {});
    if (padding > 0) builder.add(AttributeType::kSoftware, Bytes(padding));
    const auto request = builder.finish();
    const auto answer = client.exchange(request);
    EXPECT_EQ(error_of(answer), 401u);
    EXPECT_LE(answer->bytes.size(), kMaxUnprovenAmplification * request.size());
    EXPECT_EQ(answer->message.text(AttributeType::kRealm), "higgs");
    EXPECT_FALSE(answer->message.has(AttributeType::kMessageIntegrity));
  }
  EXPECT_EQ(world.server.counters().unauthorized, 3u);
  EXPECT_TRUE(world.output.open.empty());
}

TEST(TurnCredentials, EvenTheLongestRealmFitsTheChallenge) {
  Server::Options options;
  options.realm = std::string(kMaxRealmBytes, 'r');
  World world(options);
  TestClient client(world, kOwner);
  const auto answer = client.bare(stun::kAllocateMethod, [](stun::MessageBuilder& builder) {
    builder.add_u32(AttributeType::kRequestedTransport, 17u << 24);
  });
  EXPECT_EQ(error_of(answer), 401u);
  EXPECT_LE(answer->bytes.size(), kMaxUnprovenAmplification * 28);
}

TEST(TurnCredentials, UnprovenSourcesAreAnsweredAsOftenAsTheOwnerAllows) {
  World world;
  world.output.unproven_answers = 2;
  TestClient client(world, kOwner);
  EXPECT_TRUE(client.bare(stun::kAllocateMethod));
  EXPECT_TRUE(client.bare(stun::kAllocateMethod));
  EXPECT_FALSE(client.bare(stun::kAllocateMethod));
  EXPECT_EQ(world.server.counters().unanswered, 1u);
  // Whoever has shown that he receives what is sent to him is not an unproven source.
  EXPECT_TRUE(ok(client.allocate()));
}

TEST(TurnCredentials, GoodOnesAllocateWithEitherIntegrity) {
  for (const bool sha256 : {false, true}) {
    World world;
    TestClient client(world, kOwner);
    client.sha256 = sha256;
    const auto answer = client.allocate();
    ASSERT_TRUE(ok(answer));
    const auto key = stun::IntegrityKey::long_term_md5("alice", "higgs", "wonderland");
    EXPECT_EQ(stun::check_integrity(answer->bytes, answer->message, key), stun::Integrity::kGood);
    EXPECT_EQ(answer->message.integrity_sha256_at != 0, sha256);
    EXPECT_TRUE(answer->message.has_fingerprint);
  }
}

TEST(TurnCredentials, WrongPasswordAndUnknownUserLookTheSame) {
  World world;
  TestClient wrong(world, kOwner), unknown(world, endpoint("192.0.2.8:1"), Transport::kUdp, "mallory");
  wrong.password = "guess";
  EXPECT_EQ(error_of(wrong.allocate()), 401u);
  EXPECT_EQ(error_of(unknown.allocate()), 401u);
  EXPECT_EQ(world.server.allocations(), 0u);
}

TEST(TurnCredentials, IntegrityWithoutTheOtherAttributesIsABadRequest) {
  World world;
  TestClient client(world, kOwner);
  const auto key = stun::IntegrityKey::short_term("x");
  ByteArray<256> buffer;
  stun::MessageBuilder builder(buffer, stun::MessageClass::kRequest, stun::kAllocateMethod, {});
  builder.add_text(AttributeType::kUsername, "alice").add_message_integrity(key);
  EXPECT_EQ(error_of(client.exchange(builder.finish())), 400u);
}

TEST(TurnCredentials, NoncesExpireAndAreGoodForOneClientOnly) {
  Server::Options options;
  options.limits.nonce_lifetime = 100s;
  World world(options);
  TestClient client(world, kOwner);
  ASSERT_TRUE(ok(client.allocate()));
  world.pass(99s);
  EXPECT_TRUE(ok(client.request(stun::kRefreshMethod)));
  world.pass(2s);
  const std::string old = client.nonce;
  EXPECT_EQ(error_of(client.request(stun::kRefreshMethod)), 438u);
  EXPECT_NE(client.nonce, old);
  EXPECT_TRUE(ok(client.request(stun::kRefreshMethod)));

  TestClient thief(world, endpoint("203.0.113.5:1"));
  thief.nonce = client.nonce;
  EXPECT_EQ(error_of(thief.allocate()), 438u);
  TestClient liar(world, endpoint("203.0.113.6:1"));
  liar.nonce = std::string(NonceMint::kTextBytes, 'A');
  EXPECT_EQ(error_of(liar.allocate()), 438u);
  EXPECT_EQ(world.server.counters().stale_nonce, 3u);
}

TEST(TurnCredentials, WhatStandsGoesOnWhenTheyExpireButNothingNewIsAllocated) {
  World world;
  TestClient client(world, kOwner), again(world, endpoint("192.0.2.7:40001"));
  ASSERT_TRUE(ok(client.allocate()));
  world.users.passwords.erase("alice");
  EXPECT_TRUE(ok(client.request(stun::kRefreshMethod)));
  EXPECT_EQ(error_of(again.allocate()), 401u);
}

TEST(TurnCredentials, AnotherUserMayNotTouchAnAllocation) {
  World world;
  TestClient alice(world, kOwner), bob(world, kOwner, Transport::kUdp, "bob");
  ASSERT_TRUE(ok(alice.allocate()));
  EXPECT_EQ(error_of(bob.request(stun::kRefreshMethod, lifetime(0))), 441u);
  EXPECT_EQ(error_of(bob.permit(endpoint("198.51.100.80:1"))), 441u);
  EXPECT_EQ(error_of(bob.allocate()), 437u);
  EXPECT_EQ(world.server.allocations(), 1u);
}

TEST(TurnCredentials, UnknownAttributesAreNamed) {
  World world;
  TestClient client(world, kOwner);
  const auto answer = client.allocate([](stun::MessageBuilder& builder) {
    builder.add_u32(static_cast<AttributeType>(0x7ABC), 1).add_u32(static_cast<AttributeType>(0xFABC), 1);
  });
  EXPECT_EQ(error_of(answer), 420u);
  const auto named = answer->message.find(AttributeType::kUnknownAttributes);
  ASSERT_TRUE(named && named->size() == 2);
  EXPECT_EQ(load_be<std::uint16_t>(named->data()), 0x7ABC);
}

// --- Allocate ----------------------------------------------------------------------------------------------------

TEST(TurnAllocate, TellsRelayedAndMappedAddressAndLifetime) {
  World world;
  TestClient client(world, kOwner);
  const auto answer = client.allocate();
  ASSERT_TRUE(ok(answer));
  EXPECT_EQ(relayed_of(*answer), std::vector<Endpoint>{world.output.open.begin()->second});
  EXPECT_EQ(answer->message.xor_address(AttributeType::kXorMappedAddress), kOwner);
  EXPECT_EQ(answer->message.u32(AttributeType::kLifetime), 600u);
  EXPECT_TRUE(world.server.stands(client.tuple));
}

TEST(TurnAllocate, LifetimeIsBetweenDefaultAndMaximum) {
  World world;
  const std::map<std::uint32_t, std::uint32_t> granted = {
      {1, 600}, {1000, 1000}, {1'000'000, 3600}, {0xFFFFFFFF, 3600}};
  std::uint16_t port = 1;
  for (const auto& [wish, expected] : granted) {
    TestClient client(world, {kOwner.address, port++});
    EXPECT_EQ(client.allocate(lifetime(wish))->message.u32(AttributeType::kLifetime), expected) << wish;
  }
}

TEST(TurnAllocate, TheSameRequestAgainHasTheSameAnswer) {
  World world;
  TestClient client(world, kOwner);
  client.transaction = stun::TransactionId{std::byte{9}};
  const auto first = client.allocate(even_port(true));
  const auto second = client.allocate(even_port(true));
  ASSERT_TRUE(ok(first) && ok(second));
  EXPECT_EQ(first->bytes, second->bytes);
  EXPECT_EQ(world.server.counters().allocations, 1u);
  client.transaction.reset();
  EXPECT_EQ(error_of(client.allocate()), 437u);
}

TEST(TurnAllocate, OnlyUdpIsRelayed) {
  World world;
  TestClient client(world, kOwner);
  EXPECT_EQ(error_of(client.request(stun::kAllocateMethod)), 400u);
  EXPECT_EQ(error_of(client.request(stun::kAllocateMethod,
                                    [](auto& b) { b.add_u32(AttributeType::kRequestedTransport, 6u << 24); })),
            442u);
  EXPECT_EQ(error_of(client.request(stun::kAllocateMethod,
                                    [](auto& b) { b.add(AttributeType::kRequestedTransport, ByteArray<1>{}); })),
            400u);
}

TEST(TurnAllocate, FamiliesThatAreNotOfferedAreRefused) {
  World world;
  TestClient client(world, kOwner);
  EXPECT_EQ(error_of(client.allocate(family(2))), 440u);
  EXPECT_EQ(error_of(client.allocate(family(3))), 440u);
  EXPECT_TRUE(ok(client.allocate(family(1))));
}

TEST(TurnAllocate, Ipv6WhereItIsOffered) {
  World world(both_families());
  TestClient client(world, kOwner);
  const auto answer = client.allocate(family(2));
  ASSERT_TRUE(ok(answer));
  ASSERT_EQ(relayed_of(*answer).size(), 1u);
  EXPECT_TRUE(relayed_of(*answer)[0].address.is_v6());
}

auto additional(std::uint8_t number) {
  return [number](stun::MessageBuilder& builder) {
    builder.add_u32(AttributeType::kAdditionalAddressFamily, std::uint32_t{number} << 24);
  };
}

TEST(TurnAllocate, BothFamiliesAtOnce) {
  World world(both_families());
  TestClient client(world, kOwner);
  const auto answer = client.allocate(additional(2));
  ASSERT_TRUE(ok(answer));
  EXPECT_EQ(relayed_of(*answer).size(), 2u);
  EXPECT_FALSE(answer->message.has(AttributeType::kAddressErrorCode));
  // Each can be given back alone.
  ASSERT_TRUE(ok(client.request(stun::kRefreshMethod, [](auto& b) {
    family(1)(b);
    lifetime(0)(b);
  })));
  EXPECT_EQ(world.output.open.size(), 1u);
  EXPECT_EQ(error_of(client.request(stun::kRefreshMethod, family(1))), 443u);
  ASSERT_TRUE(ok(client.request(stun::kRefreshMethod, lifetime(0))));
  EXPECT_TRUE(world.output.open.empty());
}

TEST(TurnAllocate, OfTwoFamiliesTheMissingOneIsExplained) {
  World world;
  TestClient client(world, kOwner);
  const auto answer = client.allocate(additional(2));
  ASSERT_TRUE(ok(answer));
  EXPECT_EQ(relayed_of(*answer).size(), 1u);
  const auto missing = answer->message.find(AttributeType::kAddressErrorCode);
  ASSERT_TRUE(missing && missing->size() >= 4);
  EXPECT_EQ((*missing)[0], kIpv6Family);
  EXPECT_EQ((*missing)[2], std::byte{4});
  EXPECT_EQ((*missing)[3], std::byte{40});
}

TEST(TurnAllocate, AttributesThatExcludeEachOtherAreABadRequest) {
  World world(both_families());
  TestClient client(world, kOwner);
  const auto both = [](auto one, auto other) {
    return [one, other](stun::MessageBuilder& builder) {
      one(builder);
      other(builder);
    };
  };
  EXPECT_EQ(error_of(client.allocate(both(token(1), even_port(false)))), 400u);
  EXPECT_EQ(error_of(client.allocate(both(token(1), family(1)))), 400u);
  EXPECT_EQ(error_of(client.allocate(both(family(1), additional(2)))), 400u);
  EXPECT_EQ(error_of(client.allocate(both(even_port(true), additional(2)))), 400u);
  EXPECT_EQ(error_of(client.allocate(additional(1))), 400u);
  EXPECT_EQ(world.server.allocations(), 0u);
  EXPECT_TRUE(world.output.open.empty());
}

TEST(TurnAllocate, AReservedPortIsForWhoHasTheTokenAndForAWhile) {
  World world;
  TestClient first(world, kOwner), second(world, endpoint("192.0.2.7:40002")),
      bob(world, kOwner, Transport::kTcp, "bob");
  const auto answer = first.allocate(even_port(true));
  ASSERT_TRUE(ok(answer));
  const auto even = relayed_of(*answer)[0];
  EXPECT_EQ(even.port % 2, 0);
  const auto ticket = answer->message.u64(AttributeType::kReservationToken);
  ASSERT_TRUE(ticket);
  EXPECT_EQ(error_of(second.allocate(token(*ticket + 1))), 508u);
  EXPECT_EQ(error_of(bob.allocate(token(*ticket))), 508u);
  const auto pair = second.allocate(token(*ticket));
  ASSERT_TRUE(ok(pair));
  EXPECT_EQ(relayed_of(*pair)[0].port, even.port + 1);

  TestClient third(world, endpoint("192.0.2.7:40003")), late(world, endpoint("192.0.2.7:40004"));
  const auto unused = third.allocate(even_port(true));
  EXPECT_EQ(world.output.open.size(), 4u);
  world.pass(31s);
  EXPECT_EQ(world.output.open.size(), 3u);
  EXPECT_EQ(error_of(late.allocate(token(*unused->message.u64(AttributeType::kReservationToken)))), 508u);
}

TEST(TurnAllocate, NoFreePortIsInsufficientCapacity) {
  World world;
  world.output.full = true;
  TestClient client(world, kOwner);
  EXPECT_EQ(error_of(client.allocate()), 508u);
  EXPECT_EQ(world.server.counters().no_capacity, 1u);
}

TEST(TurnAllocate, QuotaOfAUserAndOfAll) {
  Server::Options options;
  options.limits.allocations = 3;
  options.limits.allocations_per_user = 2;
  World world(options);
  std::uint16_t port = 1;
  const auto next = [&](const char* user) {
    return TestClient(world, {kOwner.address, port++}, Transport::kUdp, user).allocate();
  };
  ASSERT_TRUE(ok(next("alice")));
  ASSERT_TRUE(ok(next("alice")));
  EXPECT_EQ(error_of(next("alice")), 486u);
  ASSERT_TRUE(ok(next("bob")));
  EXPECT_EQ(error_of(next("bob")), 508u);
  EXPECT_EQ(world.server.counters().over_quota, 1u);
  TestClient(world, {kOwner.address, 1}).request(stun::kRefreshMethod, lifetime(0));
  EXPECT_TRUE(ok(next("bob")));
}

TEST(TurnAllocate, ReservationsCountInTheQuota) {
  Server::Options options;
  options.limits.allocations_per_user = 3;
  World world(options);
  TestClient first(world, kOwner), second(world, endpoint("192.0.2.7:2")), third(world, endpoint("192.0.2.7:3"));
  const auto answer = first.allocate(even_port(true));
  ASSERT_TRUE(ok(answer));
  EXPECT_EQ(error_of(second.allocate(even_port(true))), 486u);
  ASSERT_TRUE(ok(second.allocate(token(*answer->message.u64(AttributeType::kReservationToken)))));
  EXPECT_TRUE(ok(third.allocate()));
}

// --- the end of an allocation ------------------------------------------------------------------------------------

TEST(TurnEnd, ExpiresWhenItIsNotRefreshed) {
  World world;
  TestClient client(world, kOwner), other(world, endpoint("192.0.2.7:2"));
  ASSERT_TRUE(ok(client.allocate()));
  ASSERT_TRUE(ok(other.allocate()));
  world.pass(599s);
  EXPECT_TRUE(ok(client.request(stun::kRefreshMethod)));
  world.pass(2s);
  EXPECT_EQ(world.server.allocations(), 1u);
  EXPECT_EQ(world.output.open.size(), 1u);
  EXPECT_EQ(world.server.counters().expired, 1u);
  EXPECT_EQ(error_of(other.request(stun::kRefreshMethod)), 437u);
}

TEST(TurnEnd, RefreshWithLifetimeZeroDeletes) {
  World world;
  TestClient client(world, kOwner);
  ASSERT_TRUE(ok(client.allocate()));
  const auto answer = client.request(stun::kRefreshMethod, lifetime(0));
  ASSERT_TRUE(ok(answer));
  EXPECT_EQ(answer->message.u32(AttributeType::kLifetime), 0u);
  EXPECT_TRUE(world.output.open.empty());
  EXPECT_FALSE(world.server.poll_timeout());
  EXPECT_TRUE(ok(client.allocate()));
}

TEST(TurnEnd, RevokedWithItsUserAndWithItsStream) {
  World world;
  TestClient udp(world, kOwner), tcp(world, kOwner, Transport::kTcp), bob(world, kOwner, Transport::kTls, "bob");
  ASSERT_TRUE(ok(udp.allocate(even_port(true))));
  ASSERT_TRUE(ok(tcp.allocate()));
  ASSERT_TRUE(ok(bob.allocate()));
  world.server.revoke("alice");
  EXPECT_EQ(world.server.allocations(), 1u);
  EXPECT_EQ(world.output.open.size(), 1u);
  EXPECT_EQ(world.server.counters().revoked, 2u);
  world.server.on_client_gone(bob.tuple);
  EXPECT_TRUE(world.output.open.empty());
  world.server.on_client_gone(bob.tuple);
}

}  // namespace
}  // namespace higgs::turn
