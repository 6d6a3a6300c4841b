// What a hostile far end, or a stranger on the network, may not bring about.
#include <algorithm>

#include <gtest/gtest.h>

#include "ice/agent.h"
#include "ice/check_message.h"
#include "ice/testing/ice_ends.h"

namespace higgs::ice {
namespace {

using namespace std::chrono_literals;
using testing::at;
using testing::behind;
using testing::End;
using testing::Ends;
using testing::kAddressA;
using testing::kAddressB;
using testing::Nat;
using testing::options_of;
using testing::Sent;

/// The most requests in any second, whatever its start.
std::size_t busiest_second(const End& end) {
  std::size_t most = 0;
  std::deque<Instant> window;
  for (const auto& sent : end.sent) {
    if (!sent.request) continue;
    window.push_back(sent.when);
    while (sent.when - window.front() >= 1s) window.pop_front();
    most = std::max(most, window.size());
  }
  return most;
}

Candidate candidate_at(const Endpoint& endpoint, CandidateType type = CandidateType::kServerReflexive) {
  return {type, endpoint, candidate_priority(type, endpoint.address), "1"};
}

Endpoint numbered(unsigned number) {
  return {IpAddress::v4(0xCB007100u + number % 100), static_cast<std::uint16_t>(1000 + number)};
}

/// One agent, A; the far end is this test, which has both passwords.
class IceHostile : public ::testing::Test {
 protected:
  IceHostile() : IceHostile(options_of(Role::kControlling)) {}
  explicit IceHostile(const Options& options)
      : ends_(behind(Nat::kNone, 101), behind(Nat::kNone, 102), 1, options), a_(ends_.a), network_(ends_.network) {
    network_.gather(a_);
  }
  void describe(std::uint32_t generation = 1) {
    far_.generation = generation;
    a_.agent->set_remote_description(now(), far_);
    network_.drain();
  }
  Instant now() const { return network_.now(); }
  stun::IntegrityKey key_of(std::string_view password) { return stun::IntegrityKey::short_term(password); }

  CheckRequest content(Role role = Role::kControlled, std::uint32_t epoch = 0) {
    return {far_.ufrag, a_.agent->local_description().ufrag, 1845501695, role, 1, epoch};
  }
  Bytes request(const CheckRequest& of, std::string_view password = {}) {
    return make_request(random_.array<12>(), of,
                        key_of(password.empty() ? std::string_view(a_.agent->local_description().password) : password));
  }
  /// The transaction of A's last request.
  stun::TransactionId transaction() {
    for (auto sent = a_.sent.rbegin(); sent != a_.sent.rend(); ++sent)
      if (sent->request) return stun::parse(sent->bytes)->transaction;
    ADD_FAILURE() << "nothing was sent";
    return {};
  }
  std::size_t answers() const { return a_.sent.size() - a_.requests(); }
  const Counters& counters() const { return a_.agent->counters(); }

  Ends ends_;
  End& a_;
  testing::Network& network_;
  SeededRandom random_{99};
  Description far_{1, "farfarfa", "abcdefghijklmnopqrstuvwx"};
};

TEST_F(IceHostile, ThousandCandidatesStayWithinTheBudget) {
  describe();
  ASSERT_TRUE(a_.agent->add_remote_candidate(now(), candidate_at(at(kAddressB)), 1));
  unsigned taken = 0;
  for (unsigned i = 0; i < 1000; ++i) {
    taken += a_.agent->add_remote_candidate(now(), candidate_at(numbered(i)), 1) ? 1 : 0;
    if (i % 10 == 0) network_.run(1ms);
  }
  EXPECT_EQ(taken, 31u) << "and the first one";
  EXPECT_EQ(counters().candidates_dropped, 969u);
  std::vector<Endpoint> guesses;
  for (unsigned i = 0; i < 1000; ++i) guesses.push_back(numbered(2000 + i));
  a_.agent->add_predicted_candidates(now(), guesses);
  network_.run(1s);
  // Besides: requests from a thousand addresses, with the right password, and probes as fast as can be.
  for (unsigned i = 0; i < 1000; ++i) {
    network_.inject(a_, numbered(4000 + i), request(content()));
    a_.agent->send_probe(now(), kRelayPair, i, 0);
    network_.run(5ms);
  }
  network_.run(30s);
  EXPECT_LE(busiest_second(a_), 40u);
  EXPECT_GT(busiest_second(a_), 35u) << "the budget is used";
  EXPECT_EQ(a_.destinations().size(), 15u) << "the last is not for peer-reflexive ones";
  EXPECT_GT(counters().destinations_refused, 0u);
}

TEST_F(IceHostile, ChecksAreEvenlySpaced) {
  describe();
  for (unsigned i = 0; i < 14; ++i) a_.agent->add_remote_candidate(now(), candidate_at(numbered(i)), 1);
  network_.run(5s);
  for (std::size_t i = 1; i < a_.sent.size(); ++i) EXPECT_GE(a_.sent[i].when - a_.sent[i - 1].when, 25ms);
  EXPECT_EQ(a_.destinations().size(), 14u);
}

TEST_F(IceHostile, UnprovenCandidatesLeaveRoomForThePeer) {
  describe();
  for (unsigned i = 0; i < 32; ++i) a_.agent->add_remote_candidate(now(), candidate_at(numbered(i)), 1);
  network_.run(1s);
  EXPECT_EQ(a_.destinations().size(), 14u);
  network_.inject(a_, at("203.0.113.240:7"), request(content()));
  network_.run(50ms);
  EXPECT_TRUE(a_.destinations().contains(at("203.0.113.240:7")));
}

// As between two symmetric NATs: requests arrive from an address that never answers ours.
TEST_F(IceHostile, RequestsThatLeadNowhereAreNotAnsweredWithChecksForEver) {
  describe();
  for (int i = 0; i < 600; ++i) {
    network_.inject(a_, at("203.0.113.240:7"), request(content()));
    network_.run(100ms);
  }
  const auto checks = std::count_if(a_.sent.begin(), a_.sent.end(), [](const Sent& sent) { return sent.request; });
  EXPECT_GE(checks, 7);
  EXPECT_LE(checks, 30);
  // The next attempt begins anew.
  a_.agent->recheck(now());
  network_.run(100ms);
  EXPECT_GT(std::count_if(a_.sent.begin(), a_.sent.end(), [](const Sent& sent) { return sent.request; }), checks);
}

TEST_F(IceHostile, NewGenerationsDoNotFreeTheBudgetAtWill) {
  for (unsigned generation = 1; generation <= 200; ++generation) {
    describe(generation);
    for (unsigned i = 0; i < 16; ++i)
      a_.agent->add_remote_candidate(now(), candidate_at(numbered(generation * 16 + i)), generation);
    network_.run(100ms);
  }
  EXPECT_LE(busiest_second(a_), 40u);
  // Four attempts at once and one every ten seconds, of twenty.
  EXPECT_LE(a_.destinations().size(), 6 * 16u);
}

// "My router lets you in now": believed once for each candidate.
TEST_F(IceHostile, CandidatesThatOpenAgainAndAgainAreCheckedOnceMore) {
  describe();
  auto candidate = candidate_at(numbered(1));
  candidate.type = CandidateType::kServerReflexive;
  const auto checks = [&] { return a_.requests(); };
  a_.agent->add_remote_candidate(now(), candidate, 1);
  network_.run(30s);
  const auto first = checks();
  for (int i = 0; i < 20; ++i) {
    candidate.type = i % 2 == 0 ? CandidateType::kPortMapped : CandidateType::kServerReflexive;
    a_.agent->add_remote_candidate(now(), candidate, 1);
    network_.run(30s);
  }
  EXPECT_EQ(checks(), 2 * first);
}

TEST_F(IceHostile, SpoofedAnswersValidateNothing) {
  describe();
  a_.agent->add_remote_candidate(now(), candidate_at(at(kAddressB)), 1);
  network_.drain();
  const auto id = transaction();
  const auto good = make_response(id, at(kAddressA), 0, key_of(far_.password));
  const auto valid = [&] { return a_.valid().size(); };

  network_.inject(a_, at(kAddressB), make_response(id, at(kAddressA), 0, key_of("abcdefghijklmnopqrstuvwX")));
  EXPECT_EQ(counters().bad_integrity, 1u);
  network_.inject(a_, at("203.0.113.66:5000"), good);
  EXPECT_EQ(counters().unmatched, 1u);
  network_.inject(a_, at(kAddressB), good, Base::kTurn);
  EXPECT_EQ(counters().unmatched, 2u);
  EXPECT_FALSE(network_.inject(a_, at(kAddressB), make_response({}, at(kAddressA), 0, key_of(far_.password))));
  EXPECT_EQ(counters().unmatched, 3u);
  auto bent = good;
  bent[bent.size() - 1] ^= std::byte{1};
  network_.inject(a_, at(kAddressB), bent);
  EXPECT_EQ(counters().malformed, 1u);
  ByteArray<20> bare_buffer;
  stun::MessageBuilder bare(bare_buffer, stun::MessageClass::kSuccess, stun::kBindingMethod, id);
  network_.inject(a_, at(kAddressB), bare.finish());
  EXPECT_EQ(valid(), 0u);

  network_.inject(a_, at(kAddressB), good);
  EXPECT_EQ(valid(), 1u) << "the true answer still counts";
  network_.inject(a_, at(kAddressB), good);
  EXPECT_EQ(counters().responses_received, 1u) << "once";
}

TEST_F(IceHostile, AnswerTooLateIsNone) {
  describe();
  a_.agent->add_remote_candidate(now(), candidate_at(at(kAddressB)), 1);
  network_.drain();
  const auto late = make_response(transaction(), at(kAddressA), 0, key_of(far_.password));
  network_.run(20s);
  network_.inject(a_, at(kAddressB), late);
  EXPECT_TRUE(a_.valid().empty());
}

TEST_F(IceHostile, RequestsWithoutThePasswordGetNoAnswer) {
  describe();
  network_.inject(a_, at(kAddressB), request(content(), "abcdefghijklmnopqrstuvwX"));
  EXPECT_EQ(counters().bad_integrity, 1u);
  auto stranger = content();
  stranger.remote_ufrag = "nobody12";
  EXPECT_FALSE(network_.inject(a_, at(kAddressB), request(stranger)));
  EXPECT_EQ(counters().unknown_user, 1u);
  ByteArray<64> buffer;
  stun::MessageBuilder plain(buffer, stun::MessageClass::kRequest, stun::kBindingMethod, {});
  EXPECT_FALSE(network_.inject(a_, at(kAddressB), plain.add_fingerprint().finish()));
  EXPECT_FALSE(network_.inject(a_, at(kAddressB), as_bytes("\x01\x00\x00\x00 hello, this is no STUN")));
  EXPECT_TRUE(a_.sent.empty());
}

TEST_F(IceHostile, RequestsThatLackAnAttributeGetNoAnswer) {
  describe();
  const auto username = a_.agent->local_description().ufrag + ":" + far_.ufrag;
  const auto key = key_of(a_.agent->local_description().password);
  const auto send = [&](bool priority, bool both_roles, bool fingerprint, bool unknown) {
    ByteArray<256> buffer;
    stun::MessageBuilder builder(buffer, stun::MessageClass::kRequest, stun::kBindingMethod, random_.array<12>());
    builder.add_text(stun::AttributeType::kUsername, username);
    if (priority) builder.add_u32(stun::AttributeType::kPriority, 1);
    if (both_roles) builder.add_u64(stun::AttributeType::kIceControlling, 1);
    builder.add_u64(stun::AttributeType::kIceControlled, 1);
    if (unknown) builder.add_u32(static_cast<stun::AttributeType>(0x7abc), 1);
    builder.add_message_integrity(key);
    if (fingerprint) builder.add_fingerprint();
    network_.inject(a_, at(kAddressB), builder.finish());
  };
  send(false, false, true, false);
  send(true, true, true, false);
  send(true, false, false, false);
  send(true, false, true, true);
  EXPECT_EQ(answers(), 0u);
  EXPECT_EQ(counters().malformed, 4u);
  send(true, false, true, false);
  EXPECT_EQ(answers(), 1u);
}

TEST_F(IceHostile, ReplayedCheckFromElsewhereDoesNothing) {
  describe();
  const auto check = request(content(Role::kControlled, 3));
  network_.inject(a_, at(kAddressB), check);
  ASSERT_EQ(answers(), 1u);
  for (unsigned i = 0; i < 1000; ++i) network_.inject(a_, numbered(i), check);
  network_.run(20s);
  EXPECT_EQ(answers(), 1u);
  EXPECT_EQ(counters().replayed, 1000u);
  EXPECT_EQ(a_.destinations(), std::set{at(kAddressB)});
}

TEST_F(IceHostile, DoubledCheckIsAnsweredAgainAndMovesNothing) {
  describe();
  a_.agent->add_remote_candidate(now(), candidate_at(at(kAddressB)), 1);
  network_.drain();
  network_.inject(a_, at(kAddressB), make_response(transaction(), at(kAddressA), 0, key_of(far_.password)));
  ASSERT_EQ(a_.valid().size(), 1u);
  const auto check = request(content(Role::kControlled, 3));
  network_.inject(a_, at(kAddressB), check);
  network_.inject(a_, at(kAddressB), check);
  EXPECT_EQ(answers(), 2u);
  EXPECT_EQ(a_.count<PeerSendsOn>(), 1u);
}

TEST_F(IceHostile, LearntCandidatesAreBounded) {
  describe();
  for (unsigned i = 0; i < 500; ++i) {
    network_.inject(a_, numbered(i), request(content()));
    network_.run(1ms);
  }
  network_.run(1s);
  EXPECT_LE(a_.destinations().size(), 8u);
  EXPECT_GT(counters().candidates_dropped, 400u);
  EXPECT_EQ(answers(), 500u);
  // Those that came to nothing make room.
  network_.run(30s);
  network_.inject(a_, at("203.0.113.240:7"), request(content()));
  network_.run(100ms);
  EXPECT_TRUE(a_.destinations().contains(at("203.0.113.240:7")));
}

TEST_F(IceHostile, RoleConflictNeedsThePasswordToo) {
  describe();
  a_.agent->add_remote_candidate(now(), candidate_at(at(kAddressB)), 1);
  network_.drain();
  network_.inject(a_, at(kAddressB), make_conflict(transaction(), key_of("abcdefghijklmnopqrstuvwX")));
  EXPECT_EQ(a_.agent->role(), Role::kControlling);
  network_.inject(a_, at(kAddressB), make_conflict(transaction(), key_of(far_.password)));
  EXPECT_EQ(a_.agent->role(), Role::kControlled);
  EXPECT_EQ(a_.count<RoleChanged>(), 1u);
}

TEST_F(IceHostile, EndlessRoleConflictsStayWithinTheBudget) {
  describe();
  a_.agent->add_remote_candidate(now(), candidate_at(at(kAddressB)), 1);
  for (unsigned i = 0; i < 2000; ++i) {
    network_.run(2ms);
    network_.inject(a_, at(kAddressB), make_conflict(transaction(), key_of(far_.password)));
  }
  EXPECT_LE(busiest_second(a_), 40u);
}

TEST_F(IceHostile, OwnRequestsComeBackInVain) {
  describe();
  a_.agent->add_remote_candidate(now(), candidate_at(at(kAddressB)), 1);
  network_.drain();
  const Bytes echo = a_.sent.at(0).bytes;
  EXPECT_FALSE(network_.inject(a_, at(kAddressB), echo));
  EXPECT_EQ(answers(), 0u);
}

TEST_F(IceHostile, BadDescriptionsAreRefused) {
  for (const auto& [ufrag, password] : {std::pair<std::string, std::string>{"abc", "abcdefghijklmnopqrstuvwx"},
                                        {"abcdefgh", "short"},
                                        {"ab:defgh", "abcdefghijklmnopqrstuvwx"},
                                        {std::string(65, 'a'), "abcdefghijklmnopqrstuvwx"},
                                        {"abcdefgh", std::string(257, 'a')}})
    a_.agent->set_remote_description(now(), {1, ufrag, password});
  EXPECT_FALSE(a_.agent->remote_description());
  EXPECT_EQ(counters().malformed, 5u);
}

constexpr std::string_view kSpecial[] = {
    "10.0.0.1:1",          "172.31.0.1:1",       "192.168.1.5:1",    "127.0.0.1:1",
    "169.254.169.254:1",   "100.64.0.1:1",       "224.0.0.1:1",      "0.0.0.0:1",
    "198.18.0.1:1",        "255.255.255.255:1",  "240.0.0.1:1",      "[::1]:1",
    "[fe80::1]:1",         "[fd00::1]:1",        "[ff02::1]:1",      "[::]:1",
    "[::ffff:10.0.0.1]:1", "[64:ff9b::a00:1]:1", "[2002:a00:1::]:1", "[2001:0:1::]:1",
    "203.0.113.9:0"};

TEST_F(IceHostile, SpecialAddressesAreNotProbed) {
  a_.agent->add_local_candidate(now(), CandidateType::kHost, at("[2001:db8:a::2]:5000"));
  describe();
  for (const auto text : kSpecial) a_.agent->add_remote_candidate(now(), candidate_at(at(text)), 1);
  std::vector<Endpoint> guesses;
  for (const auto text : kSpecial) guesses.push_back(at(text));
  a_.agent->add_predicted_candidates(now(), guesses);
  // Nor on the word of a request: answered where an answer is possible, never asked.
  for (const auto text : kSpecial) network_.inject(a_, at(text), request(content()));
  network_.run(10s);
  EXPECT_EQ(a_.requests(), 0u);
  for (const auto& sent : a_.sent) {
    EXPECT_NE(sent.to.port, 0u);
    EXPECT_NE(sent.to.address, IpAddress::parse("224.0.0.1"));
  }
}

class IceHome : public IceHostile {
 protected:
  static Options home(bool probe_private) {
    Options options = options_of(Role::kControlling);
    options.local_networks = {*IpPrefix::parse("192.168.1.0/24")};
    options.probe_private = probe_private;
    return options;
  }
  explicit IceHome(bool probe_private = false) : IceHostile(home(probe_private)) {}
};

TEST_F(IceHome, WhoProvedToBeThePeerOnOurNetworkIsCheckedBack) {
  describe();
  a_.agent->add_remote_candidate(now(), candidate_at(at("192.168.1.5:1")), 1);
  network_.run(1s);
  EXPECT_EQ(a_.requests(), 0u) << "on its word alone";
  network_.inject(a_, at("192.168.2.5:1"), request(content()));
  network_.run(1s);
  EXPECT_EQ(a_.requests(), 0u) << "not a network of ours";
  network_.inject(a_, at("192.168.1.5:1"), request(content()));
  EXPECT_EQ(a_.requests(), 1u);
}

class IceVolunteer : public IceHostile {
 protected:
  static Options home() {
    Options options = options_of(Role::kControlled);
    options.local_networks = {*IpPrefix::parse("198.51.100.0/24")};
    return options;
  }
  IceVolunteer() : IceHostile(home()) {}
};

TEST_F(IceVolunteer, PublicAddressesOfItsOwnNetworkAreNotScannedAtTheLeadersWish) {
  describe();
  for (std::uint16_t port = 1; port < 10; ++port)
    a_.agent->add_remote_candidate(now(), candidate_at({*IpAddress::parse("198.51.100.5"), port}), 1);
  network_.run(1s);
  EXPECT_EQ(a_.requests(), 0u) << "behind the home router's firewall";
  network_.inject(a_, at("198.51.100.5:7"), request(content(Role::kControlling)));
  network_.run(1s);
  EXPECT_EQ(a_.destinations(), std::set{at("198.51.100.5:7")}) << "who has shown itself is met";
  a_.agent->add_remote_candidate(now(), candidate_at(at("198.51.101.5:1")), 1);
  network_.run(1s);
  EXPECT_EQ(a_.destinations().size(), 2u) << "elsewhere as ever";
}

class IceTestNetwork : public IceHome {
 protected:
  IceTestNetwork() : IceHome(true) {}
};

TEST_F(IceTestNetwork, PrivateCandidatesAreProbedWhereItIsAllowed) {
  describe();
  a_.agent->add_remote_candidate(now(), candidate_at(at("192.168.1.5:1")), 1);
  a_.agent->add_remote_candidate(now(), candidate_at(at("192.168.2.5:1")), 1);
  network_.run(1s);
  EXPECT_EQ(a_.destinations(), std::set{at("192.168.1.5:1")});
}

TEST(IceTarget, UfragOfARequestIsRead) {
  const auto key = stun::IntegrityKey::short_term("abcdefghijklmnopqrstuvwx");
  const CheckRequest content{"mine", "theirs", 1, Role::kControlling, 1, 0};
  EXPECT_EQ(target_ufrag(make_request({}, content, key)), "theirs");
  EXPECT_EQ(target_ufrag(make_response({}, at(kAddressA), 0, key)), std::nullopt);
  EXPECT_EQ(target_ufrag(as_bytes("nothing at all, nothing at all")), std::nullopt);
}

}  // namespace
}  // namespace higgs::ice
