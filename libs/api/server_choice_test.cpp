#include "api/server_choice.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace higgs::api {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

const std::string kA = "https://a.test:8443", kB = "https://b.test:8443", kC = "https://c.test:8443";

RelayServer server(const std::string& host, double load = 0, bool draining = false) {
  RelayServer made;
  made.id = host;
  made.host = host;
  made.port = 8443;
  made.pin = "sha256/" + host;
  made.load = load;
  made.draining = draining;
  return made;
}

class ServerChoiceTest : public ::testing::Test {
 protected:
  const std::string& choose() { return choice_.choose(now_, random_); }

  SeededRandom random_{7};
  Instant now_{1h};
  ServerChoice choice_{kA};
};

TEST_F(ServerChoiceTest, OneServerIsUsedWhateverHappens) {
  EXPECT_TRUE(choice_.alone());
  choice_.failed(now_, kA);
  EXPECT_EQ(choose(), kA);
  choice_.learn(now_, {});
  EXPECT_EQ(choose(), kA);
}

TEST_F(ServerChoiceTest, TheNearestIsChosenAndKeptUntilAnotherIsClearlyBetter) {
  choice_.learn(now_, {server("a.test"), server("b.test")});
  choice_.measured(kA, 40ms);
  choice_.measured(kB, 10ms);
  EXPECT_EQ(choose(), kB);
  choice_.measured(kA, 8ms);
  EXPECT_EQ(choose(), kB) << "a little better is no reason to move";
  choice_.measured(kB, 60ms);
  EXPECT_EQ(choose(), kA);
}

TEST_F(ServerChoiceTest, LoadCounts) {
  choice_.learn(now_, {server("a.test", 100), server("b.test", 0)});
  choice_.measured(kA, 20ms);
  choice_.measured(kB, 30ms);
  EXPECT_EQ(choose(), kB);
}

TEST_F(ServerChoiceTest, ThoseThatAreAlikeAreTakenAtRandom) {
  std::map<std::string, int> taken;
  for (int i = 0; i < 300; ++i) {
    ServerChoice choice("https://name.test:443");
    choice.learn(now_, {server("a.test"), server("b.test"), server("c.test")});
    choice.measured(kA, 1ms);
    choice.measured(kB, 2ms);
    choice.measured(kC, 4ms);
    ++taken[choice.choose(now_, random_)];
  }
  EXPECT_GT(taken[kA], 60);
  EXPECT_GT(taken[kB], 60);
  EXPECT_GT(taken[kC], 60);
  EXPECT_EQ(taken.size(), 3u) << "a name for all of them is not one of them";
}

TEST_F(ServerChoiceTest, OneThatFailedIsAvoidedLongerEachTime) {
  choice_.learn(now_, {server("a.test"), server("b.test")});
  choice_.measured(kA, 5ms);
  choice_.measured(kB, 200ms);
  EXPECT_EQ(choose(), kA);
  choice_.failed(now_, kA);
  EXPECT_EQ(choose(), kB);
  now_ += 11s;
  EXPECT_EQ(choose(), kA);
  choice_.failed(now_, kA);
  now_ += 11s;
  EXPECT_EQ(choose(), kB);
  now_ += 10s;
  EXPECT_EQ(choose(), kA);
  choice_.worked(kA);
  choice_.failed(now_, kA);
  now_ += 11s;
  EXPECT_EQ(choose(), kA) << "a success is a new beginning";
}

TEST_F(ServerChoiceTest, WhereAllHaveFailedTheFirstToRecoverIsTried) {
  choice_.learn(now_, {server("a.test"), server("b.test")});
  choice_.failed(now_, kA);
  now_ += 1s;
  choice_.failed(now_, kB);
  EXPECT_EQ(choose(), kA);
  choice_.failed(now_, kA);
  EXPECT_EQ(choose(), kB);
}

TEST_F(ServerChoiceTest, OneThatDrainsIsLeft) {
  choice_.learn(now_, {server("a.test"), server("b.test")});
  const std::string first = choose();
  choice_.draining(now_, first);
  EXPECT_NE(choose(), first);
  ServerChoice other(kA);
  other.learn(now_, {server("a.test", 0, true), server("b.test", 90)});
  EXPECT_EQ(other.choose(now_, random_), kB);
}

TEST_F(ServerChoiceTest, ListsAreTakenAsTheyComeWithinLimits) {
  choice_.learn(now_, {server("b.test"), server("a.test"), server("b.test")});
  EXPECT_THAT(choice_.origins(), ElementsAre(kA, kB));
  EXPECT_THAT(choice_.pins(), ElementsAre("sha256/a.test", "sha256/b.test"));
  choice_.measured(kB, 5ms);
  EXPECT_EQ(choose(), kB);
  choice_.learn(now_, {server("c.test")});
  EXPECT_THAT(choice_.origins(), ElementsAre(kA, kC)) << "home stays, even where nobody lists it";
  EXPECT_EQ(choose(), kC);
  auto odd = server("d.test");
  odd.protocol = "udp";
  auto bad = server("not a host/");
  std::vector<RelayServer> many{odd, bad};
  for (int i = 0; i < 100; ++i) many.push_back(server("s" + std::to_string(i) + ".test"));
  choice_.learn(now_, many);
  EXPECT_EQ(choice_.origins().size(), ServerChoice::kMaxServers);
}

TEST_F(ServerChoiceTest, IPv6HostsHaveBrackets) {
  choice_.learn(now_, {server("2001:db8::1")});
  EXPECT_THAT(choice_.origins(), ElementsAre(kA, "https://[2001:db8::1]:8443"));
}

}  // namespace
}  // namespace higgs::api
