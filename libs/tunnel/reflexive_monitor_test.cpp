#include "tunnel/reflexive_monitor.h"

#include <gtest/gtest.h>

#include "stun/binding.h"

namespace higgs::tunnel {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Endpoint endpoint(std::string_view text) { return Endpoint::parse(text).value(); }

class Reflexive : public ::testing::Test {
 protected:
  struct Sent {
    Endpoint to;
    Bytes bytes;
  };
  std::vector<Sent> sent() {
    std::vector<Sent> all;
    while (const auto out = monitor_.poll_transmit()) all.push_back({out->to, to_bytes(out->bytes)});
    return all;
  }
  /// Lets time pass to the next deadline at most `span` away.
  void step(std::chrono::nanoseconds span) {
    const Instant end = now_ + span;
    now_ = std::min(end, monitor_.poll_timeout().value_or(end));
    monitor_.handle_timeout(now_);
  }
  void pass(std::chrono::nanoseconds span) {
    const Instant end = now_ + span;
    while (now_ < end) {
      step(end - now_);
      for (auto& one : sent()) requests_.push_back(std::move(one));
    }
  }
  Bytes answer(const Sent& request, std::string_view mapped) {
    ByteArray<256> buffer;
    return to_bytes(stun::answer_binding(request.bytes, endpoint(mapped), {}, buffer).bytes);
  }
  bool answered(const Sent& request, std::string_view mapped) {
    return monitor_.handle_packet(now_, request.to, answer(request, mapped));
  }
  /// One round, answered by every server with the address that belongs to it.
  void round(const std::map<std::string, std::string>& seen_as) {
    for (const Sent& request : sent()) EXPECT_TRUE(answered(request, seen_as.at(request.to.to_string())));
  }

  SeededRandom random_{7};
  Instant now_{std::chrono::hours(1)};
  ReflexiveMonitor monitor_{random_};
  std::vector<Sent> requests_;
  const std::vector<Endpoint> servers_{endpoint("192.0.2.1:3478"), endpoint("[2001:db8::1]:3478")};
};

TEST_F(Reflexive, AsksEveryServerAtOnceAndTellsWhatTheySaw) {
  monitor_.set_servers(now_, servers_);
  EXPECT_FALSE(monitor_.poll_changed());
  round({{"192.0.2.1:3478", "198.51.100.1:4000"}, {"[2001:db8::1]:3478", "[2001:db8::99]:51820"}});
  EXPECT_TRUE(monitor_.poll_changed());
  EXPECT_FALSE(monitor_.poll_changed()) << "once";
  EXPECT_FALSE(monitor_.poll_moved()) << "the first answer is no move";
  EXPECT_EQ(monitor_.addresses(), (std::vector{endpoint("198.51.100.1:4000"), endpoint("[2001:db8::99]:51820")}));
}

TEST_F(Reflexive, KeepsTheMappingAlive) {
  monitor_.set_servers(now_, std::vector{servers_[0]});
  for (int i = 0; i < 10; ++i) {
    round({{"192.0.2.1:3478", "198.51.100.1:4000"}});
    const Instant before = now_;
    step(seconds(60));
    EXPECT_GE(now_ - before, seconds(18));
    EXPECT_LE(now_ - before, seconds(20));
  }
  monitor_.poll_changed();
  round({{"192.0.2.1:3478", "198.51.100.1:4000"}});
  EXPECT_FALSE(monitor_.poll_changed()) << "nothing changed";
}

TEST_F(Reflexive, AnotherMappingIsAMove) {
  monitor_.set_servers(now_, std::vector{servers_[0]});
  round({{"192.0.2.1:3478", "198.51.100.1:4000"}});
  monitor_.poll_changed();
  step(seconds(60));
  round({{"192.0.2.1:3478", "198.51.100.1:4001"}});
  EXPECT_TRUE(monitor_.poll_changed());
  EXPECT_TRUE(monitor_.poll_moved());
  EXPECT_EQ(monitor_.addresses(), std::vector{endpoint("198.51.100.1:4001")});
}

TEST_F(Reflexive, RepeatsARequestAFewTimesAndThenForgetsTheAddress) {
  monitor_.set_servers(now_, std::vector{servers_[0]});
  round({{"192.0.2.1:3478", "198.51.100.1:4000"}});
  monitor_.poll_changed();
  monitor_.refresh(now_);
  EXPECT_EQ(monitor_.addresses().size(), 1u) << "holds until the server has proved silent";
  for (auto& one : sent()) requests_.push_back(std::move(one));
  pass(seconds(10));
  EXPECT_EQ(requests_.size(), 5u);
  for (const Sent& request : requests_) EXPECT_EQ(request.bytes, requests_[0].bytes) << "one transaction";
  EXPECT_TRUE(monitor_.addresses().empty());
  EXPECT_TRUE(monitor_.poll_changed());
  EXPECT_FALSE(monitor_.poll_moved());
  EXPECT_FALSE(answered(requests_[0], "198.51.100.1:4000")) << "too late";
  pass(seconds(15));
  EXPECT_GT(requests_.size(), 5u) << "and asks again";
}

TEST_F(Reflexive, ABrokenPathAsksAtOnceButNotAsOftenAsPathsBreak) {
  monitor_.set_servers(now_, std::vector{servers_[0]});
  round({{"192.0.2.1:3478", "198.51.100.1:4000"}});
  now_ += seconds(1);
  monitor_.doubt(now_);
  round({{"192.0.2.1:3478", "198.51.100.1:4001"}});
  EXPECT_TRUE(monitor_.poll_moved());
  std::size_t asked = 0;
  for (int i = 0; i < 100; ++i) {
    now_ += milliseconds(100);
    monitor_.doubt(now_);
    for (const Sent& request : sent()) {
      ++asked;
      answered(request, "198.51.100.1:4001");
    }
  }
  EXPECT_EQ(asked, 5u) << "in ten seconds";
}

TEST_F(Reflexive, TakesAnswersOnlyFromTheServerAndToItsRequest) {
  monitor_.set_servers(now_, std::vector{servers_[0]});
  const Sent request = sent().at(0);
  const Bytes right = answer(request, "198.51.100.1:4000");
  EXPECT_FALSE(monitor_.handle_packet(now_, endpoint("203.0.113.66:3478"), right)) << "from elsewhere";
  Bytes wrong = right;
  wrong[10] ^= std::byte{1};
  EXPECT_FALSE(monitor_.handle_packet(now_, servers_[0], wrong)) << "another transaction";
  EXPECT_FALSE(monitor_.handle_packet(now_, servers_[0], request.bytes)) << "a request";
  EXPECT_TRUE(monitor_.handle_packet(now_, servers_[0], right));
  EXPECT_FALSE(monitor_.handle_packet(now_, servers_[0], right)) << "twice";
}

TEST_F(Reflexive, ServersAreBoundedAndReplaced) {
  std::vector<Endpoint> many;
  for (std::uint16_t port = 1; port <= 10; ++port) many.push_back({endpoint("192.0.2.1:1").address, port});
  many.push_back(many[0]);
  monitor_.set_servers(now_, many);
  const auto asked = sent();
  ASSERT_EQ(asked.size(), 4u);
  EXPECT_TRUE(answered(asked[0], "198.51.100.1:4000"));
  EXPECT_TRUE(answered(asked[1], "198.51.100.1:4000"));
  EXPECT_EQ(monitor_.addresses().size(), 1u) << "each once";
  monitor_.poll_changed();
  monitor_.set_servers(now_, std::vector{many[1], servers_[1]});
  EXPECT_EQ(monitor_.addresses().size(), 1u) << "one that stays is still known";
  EXPECT_FALSE(monitor_.poll_changed());
  EXPECT_EQ(sent().size(), 1u) << "only the new one is asked";
  monitor_.set_servers(now_, {});
  EXPECT_TRUE(monitor_.addresses().empty());
  EXPECT_TRUE(monitor_.poll_changed());
  EXPECT_FALSE(monitor_.poll_timeout());
}

TEST_F(Reflexive, PredictsThePortsOfANatThatCounts) {
  const std::vector<Endpoint> two{endpoint("192.0.2.1:3478"), endpoint("192.0.2.2:3478")};
  monitor_.set_servers(now_, two);
  round({{"192.0.2.1:3478", "198.51.100.1:4002"}, {"192.0.2.2:3478", "198.51.100.1:4004"}});
  auto likely = monitor_.predicted(2);
  ASSERT_EQ(likely.size(), 6u);
  EXPECT_EQ(likely.front(), endpoint("198.51.100.1:4006"));
  EXPECT_EQ(likely.back(), endpoint("198.51.100.1:4016"));
  EXPECT_EQ(monitor_.predicted(-2).front(), endpoint("198.51.100.1:4000"));
  EXPECT_TRUE(monitor_.predicted(0).empty());
}

TEST_F(Reflexive, PredictionEndsWithThePorts) {
  monitor_.set_servers(now_, std::vector{servers_[0]});
  round({{"192.0.2.1:3478", "198.51.100.1:65533"}});
  EXPECT_EQ(monitor_.predicted(1).size(), 2u);
}

}  // namespace
}  // namespace higgs::tunnel
