#include "path/announcer.h"

#include <gtest/gtest.h>

namespace higgs::path {
namespace {

ice::Description description(std::uint32_t generation) { return {generation, "abcd", std::string(24, 'p')}; }

ice::Candidate candidate(unsigned number) {
  return {ice::CandidateType::kHost, {IpAddress::v4(0xCB007100u + number), 9}, 1 + number, "f"};
}

/// The actions that wait, in order, each by its first letter: i, c, e (candidates-end), p.
std::string said(Announcer& announcer) {
  std::string out;
  while (const auto message = announcer.poll()) {
    EXPECT_TRUE(parse_signal(*message)) << message->payload_json;
    out += message->action == "candidates-end" ? 'e' : message->action.front();
  }
  return out;
}

TEST(Announcer, SaysNothingWithoutALinkAndEverythingWithOne) {
  Announcer announcer;
  announcer.begin(description(1));
  announcer.add(candidate(1));
  announcer.add(candidate(2));
  announcer.end();
  announcer.path_changed({1, Kind::kRelay});
  EXPECT_EQ(said(announcer), "");
  announcer.set_open(true);
  EXPECT_EQ(said(announcer), "iccep");
  announcer.set_open(false);
  announcer.remove(candidate(1).endpoint);
  announcer.set_open(true);
  EXPECT_EQ(said(announcer), "icep");
}

TEST(Announcer, SaysWhatIsNewOnce) {
  Announcer announcer;
  announcer.set_open(true);
  announcer.begin(description(1));
  EXPECT_EQ(said(announcer), "i");
  announcer.add(candidate(1));
  announcer.add(candidate(1));
  EXPECT_EQ(said(announcer), "c");
  announcer.end();
  announcer.end();
  EXPECT_EQ(said(announcer), "e");
  announcer.add(candidate(2));
  EXPECT_EQ(said(announcer), "c");
}

TEST(Announcer, ANewGenerationForgetsTheOldOne) {
  Announcer announcer;
  announcer.set_open(true);
  announcer.begin(description(1));
  announcer.add(candidate(1));
  announcer.end();
  announcer.begin(description(2));
  announcer.add(candidate(2));
  const auto first = announcer.poll();
  ASSERT_TRUE(first);
  EXPECT_EQ(std::get<ice::Description>(*parse_signal(*first)).generation, 2u);
  const auto second = announcer.poll();
  ASSERT_TRUE(second);
  EXPECT_EQ(std::get<CandidateSignal>(*parse_signal(*second)).generation, 2u);
  EXPECT_FALSE(announcer.poll());
}

TEST(Announcer, OnlyTheLastPathIsSaid) {
  Announcer announcer;
  announcer.begin(description(1));
  announcer.set_open(true);
  EXPECT_EQ(said(announcer), "i");
  for (std::uint32_t epoch = 1; epoch <= 100; ++epoch) announcer.path_changed({epoch, Kind::kTurn});
  const auto message = announcer.poll();
  ASSERT_TRUE(message);
  EXPECT_EQ(std::get<PathSignal>(*parse_signal(*message)).epoch, 100u);
  EXPECT_FALSE(announcer.poll());
}

TEST(Announcer, GuessesAreSaidOnceAGeneration) {
  Announcer announcer;
  announcer.set_open(true);
  announcer.begin(description(1));
  const auto guesses = [](std::uint16_t first) {
    std::vector<Endpoint> out;
    for (std::uint16_t i = 0; i < 20; ++i)
      out.push_back({IpAddress::v4(0xCB007101), static_cast<std::uint16_t>(first + i)});
    return out;
  };
  EXPECT_EQ(said(announcer), "i");
  announcer.set_predicted(guesses(100));
  EXPECT_EQ(said(announcer), std::string(Announcer::kMaxPredicted, 'c'));
  EXPECT_FALSE(announcer.predictions_are_stale());
  announcer.set_predicted(guesses(200));
  EXPECT_EQ(said(announcer), "");
  EXPECT_TRUE(announcer.predictions_are_stale());
  announcer.begin(description(2));
  EXPECT_FALSE(announcer.predictions_are_stale());
  EXPECT_EQ(said(announcer), "i" + std::string(Announcer::kMaxPredicted, 'c'));
}

TEST(Announcer, IsBounded) {
  Announcer announcer;
  announcer.set_open(true);
  announcer.begin(description(1));
  for (unsigned i = 0; i < 200; ++i) {
    announcer.add(candidate(i));
    announcer.remove(candidate(i).endpoint);
  }
  EXPECT_EQ(said(announcer).size(), Announcer::kMaxQueued);
  EXPECT_EQ(announcer.dropped(), 201u - Announcer::kMaxQueued);
  for (unsigned i = 0; i < 200; ++i) announcer.add(candidate(i));
  EXPECT_EQ(said(announcer).size(), Announcer::kMaxCandidates);
}

}  // namespace
}  // namespace higgs::path
