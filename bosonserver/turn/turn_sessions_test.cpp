#include "bosonserver/turn/turn_sessions.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/random.h"
#include "crypto/hash.h"

namespace higgs::boson {
namespace {

constexpr std::int64_t kNow = 1'700'000'000;
WallTime at(std::int64_t seconds) { return from_unix_seconds(seconds); }
IpAddress ip(std::string_view text) { return *IpAddress::parse(text); }

class TurnSessionsTest : public ::testing::Test {
 protected:
  TurnSessionsTest() {
    sessions.on_revoked([this](const std::string& user) { revoked.push_back(user); });
  }
  std::string user() { return sessions.issue(session, kNow + 100).username; }

  SeededRandom random{3};
  TurnSecret secret{random.array<32>()};
  TurnSessions sessions{secret, turn::PeerPolicy(false, {ip("203.0.113.10")}), 3};
  SessionId session{Uuid::random(random)}, other{Uuid::random(random)};
  std::vector<std::string> revoked;
};

TEST_F(TurnSessionsTest, CredentialsAreAMacThatEveryServerOfTheClusterCanMake) {
  const auto credential = sessions.issue(session, kNow + 100);
  EXPECT_EQ(credential.username, std::to_string(kNow + 100) + ":" + to_string(session));
  EXPECT_EQ(credential.password, to_base64(crypto::hmac_sha256(secret.reveal(), as_bytes(credential.username))));
  ASSERT_TRUE(sessions.open(session, {}, kNow + 50));
  EXPECT_EQ(sessions.password(at(kNow), credential.username)->reveal(), credential.password);
}

TEST_F(TurnSessionsTest, WorthNothingAfterTheirTimeOrThatOfTheSession) {
  ASSERT_TRUE(sessions.open(session, {}, kNow + 1000));
  EXPECT_TRUE(sessions.password(at(kNow + 99), user()));
  EXPECT_FALSE(sessions.password(at(kNow + 100), user()));
  ASSERT_TRUE(sessions.open(other, {}, kNow + 50));
  const auto name = sessions.issue(other, kNow + 100).username;
  EXPECT_TRUE(sessions.password(at(kNow + 49), name));
  EXPECT_FALSE(sessions.password(at(kNow + 50), name));
  sessions.renew(other, kNow + 80);
  EXPECT_TRUE(sessions.password(at(kNow + 79), name));
}

TEST_F(TurnSessionsTest, OtherNamesAreNobodys) {
  ASSERT_TRUE(sessions.open(session, {}, kNow + 1000));
  for (const auto& name :
       {std::string(), std::string(":"), std::string("alice"), to_string(session), "x:" + to_string(session),
        "-1:" + to_string(session), std::to_string(kNow + 9) + ":", std::to_string(kNow + 9) + ":" + to_string(other),
        "99999999999999999999999:" + to_string(session)})
    EXPECT_FALSE(sessions.password(at(kNow), name)) << name;
}

TEST_F(TurnSessionsTest, OnlyAnnouncedPublicAddressesArePeers) {
  ASSERT_TRUE(sessions.open(session, {ip("198.51.100.1"), ip("192.168.1.2"), ip("::ffff:198.51.100.2")}, kNow + 1000));
  EXPECT_TRUE(sessions.permits(user(), ip("198.51.100.1")));
  EXPECT_TRUE(sessions.permits(user(), ip("198.51.100.2")));
  EXPECT_FALSE(sessions.permits(user(), ip("192.168.1.2")));
  EXPECT_FALSE(sessions.permits(user(), ip("198.51.100.3")));
  sessions.add_candidate(session, ip("198.51.100.3"));
  sessions.add_candidate(session, ip("203.0.113.10"));  // the server itself
  sessions.add_candidate(other, ip("198.51.100.4"));
  EXPECT_TRUE(sessions.permits(user(), ip("198.51.100.3")));
  EXPECT_FALSE(sessions.permits(user(), ip("203.0.113.10")));
  EXPECT_FALSE(sessions.permits(user(), ip("198.51.100.4")));
  EXPECT_FALSE(sessions.permits(sessions.issue(other, kNow + 100).username, ip("198.51.100.1")));
  EXPECT_FALSE(sessions.permits("rubbish", ip("198.51.100.1")));
}

TEST_F(TurnSessionsTest, AFloodOfCandidatesIsBounded) {
  ASSERT_TRUE(sessions.open(session, {}, kNow + 1000));
  ASSERT_TRUE(sessions.open(session, {ip("198.51.101.1")}, kNow + 1000));
  for (std::uint32_t i = 0; i < 100; ++i) sessions.add_candidate(session, IpAddress::v4(0xC6336400 + i));
  std::size_t permitted = 0;
  for (std::uint32_t i = 0; i < 100; ++i) permitted += sessions.permits(user(), IpAddress::v4(0xC6336400 + i)) ? 1 : 0;
  EXPECT_EQ(permitted, kMaxSessionCandidates - 1);
  EXPECT_TRUE(sessions.permits(user(), IpAddress::v4(0xC6336400 + 99)));
  EXPECT_TRUE(sessions.permits(user(), ip("198.51.101.1")));
  EXPECT_EQ(sessions.counters().replaced_candidates, 100 - (kMaxSessionCandidates - 1));
  sessions.add_candidate(session, ip("10.0.0.1"));
  EXPECT_EQ(sessions.counters().refused_candidates, 1u);
}

TEST_F(TurnSessionsTest, NoSessionNamesAddressesWithoutEnd) {
  ASSERT_TRUE(sessions.open(session, {}, kNow + 1000));
  for (std::uint32_t i = 0; i < kMaxSessionCandidatesEver; ++i)
    sessions.add_candidate(session, IpAddress::v4(0xC6336400 + i));
  const auto last = IpAddress::v4(0xC6336400 + std::uint32_t{kMaxSessionCandidatesEver} - 1);
  EXPECT_TRUE(sessions.permits(user(), last));
  EXPECT_EQ(sessions.counters().refused_candidates, 0u);
  sessions.add_candidate(session, ip("192.0.2.1"));
  EXPECT_FALSE(sessions.permits(user(), ip("192.0.2.1")));
  EXPECT_EQ(sessions.counters().refused_candidates, 1u);
  sessions.add_candidate(session, last);
  EXPECT_TRUE(sessions.permits(user(), last)) << "what it has, it keeps";
}

TEST_F(TurnSessionsTest, TheEndOfASessionRevokesTheNamesThatWereUsed) {
  ASSERT_TRUE(sessions.open(session, {ip("198.51.100.1")}, kNow + 1000));
  const auto first = user(), second = sessions.issue(session, kNow + 200).username;
  sessions.password(at(kNow), first);
  sessions.password(at(kNow), first);
  sessions.password(at(kNow), second);
  sessions.close(session);
  sessions.close(session);
  EXPECT_EQ(revoked, (std::vector<std::string>{first, second}));
  EXPECT_FALSE(sessions.stands(session));
  EXPECT_FALSE(sessions.password(at(kNow), first));
  EXPECT_FALSE(sessions.permits(first, ip("198.51.100.1")));
}

TEST_F(TurnSessionsTest, SessionsAndNamesAreBounded) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(sessions.open(SessionId(Uuid::random(random)), {}, kNow + 1000));
  EXPECT_FALSE(sessions.open(session, {}, kNow + 1000));
  EXPECT_EQ(sessions.counters().refused_sessions, 1u);
  EXPECT_EQ(sessions.counters().sessions, 3u);

  TurnSessions one(secret, turn::PeerPolicy(false, {}), 1);
  ASSERT_TRUE(one.open(session, {}, kNow + 1000));
  std::size_t known = 0;
  for (std::int64_t i = 1; i <= 100; ++i)
    known += one.password(at(kNow), one.issue(session, kNow + i).username) ? 1 : 0;
  EXPECT_EQ(known, kMaxSessionUsers);
}

}  // namespace
}  // namespace higgs::boson
