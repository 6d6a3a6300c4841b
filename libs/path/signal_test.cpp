#include "path/signal.h"

#include <gtest/gtest.h>

namespace higgs::path {
namespace {

constexpr std::string_view kDescription =
    R"({"action":"ice-description","generation":3,"ufrag":"aB9+","password":"0123456789abcdefghij+/"})";
constexpr std::string_view kCandidate =
    R"({"action":"candidate","generation":3,"type":"srflx","address":"198.51.100.7","port":4500,"priority":1694498815,"foundation":"2"})";

Result<Signal> parse(std::string_view action, std::string_view payload) {
  return parse_signal({std::string(action), std::string(payload)});
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out(text);
  const auto at = out.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return out.replace(at, from.size(), to);
}

void expect_error(SignalError expected, std::string_view action, const std::string& payload) {
  const auto signal = parse(action, payload);
  ASSERT_FALSE(signal) << payload;
  EXPECT_EQ(signal.error(), make_error_code(expected)) << payload << ": " << signal.error().message();
}

TEST(Signal, IsReadBack) {
  const auto candidate = [](ice::CandidateType type, std::string_view endpoint) {
    return CandidateSignal{7, {type, *Endpoint::parse(endpoint), 0x7FFFFFFF, "a+/9"}};
  };
  const std::vector<Signal> signals{
      ice::Description{0, "abcd", std::string(22, 'p')},
      ice::Description{0xFFFFFFFF, std::string(kMaxUfrag, 'u'), std::string(kMaxPassword, 'p')},
      candidate(ice::CandidateType::kHost, "192.0.2.1:1"),
      candidate(ice::CandidateType::kServerReflexive, "[2001:db8::1]:65535"),
      candidate(ice::CandidateType::kPortMapped, "192.0.2.1:9"),
      candidate(ice::CandidateType::kRelayed, "192.0.2.1:9"),
      CandidatesEnd{9},
      PathSignal{1, Kind::kDirectV6},
      PathSignal{0xFFFFFFFF, Kind::kDirectV4},
      PathSignal{2, Kind::kTurn},
      PathSignal{2, Kind::kRelay},
  };
  for (const auto& signal : signals) {
    const auto message = encode_signal(signal);
    EXPECT_LE(message.payload_json.size(), kMaxSignalBytes);
    const auto read = parse_signal(message);
    ASSERT_TRUE(read) << message.payload_json << ": " << read.error().message();
    EXPECT_TRUE(*read == signal) << message.payload_json;
  }
}

TEST(Signal, TravelsAsARelayControlMessage) {
  const auto message = encode_signal(CandidatesEnd{4});
  const auto control = relay::parse_control(relay::encode_control({std::nullopt, relay::Direction::kToNode, message}));
  ASSERT_TRUE(control);
  const auto read = parse_signal(std::get<relay::PeerMessage>(control->payload));
  ASSERT_TRUE(read);
  EXPECT_EQ(std::get<CandidatesEnd>(*read).generation, 4u);
}

TEST(Signal, TheFormOnTheWire) {
  const auto description = parse("ice-description", kDescription);
  ASSERT_TRUE(description);
  EXPECT_EQ(std::get<ice::Description>(*description), (ice::Description{3, "aB9+", "0123456789abcdefghij+/"}));
  const auto candidate = parse("candidate", kCandidate);
  ASSERT_TRUE(candidate);
  EXPECT_EQ(std::get<CandidateSignal>(*candidate),
            (CandidateSignal{
                3, {ice::CandidateType::kServerReflexive, *Endpoint::parse("198.51.100.7:4500"), 1694498815, "2"}}));
  const auto path = parse("path-changed", R"({"action":"path-changed","epoch":5,"path":"turn","more":1})");
  ASSERT_TRUE(path);
  EXPECT_EQ(std::get<PathSignal>(*path), (PathSignal{5, Kind::kTurn}));
}

TEST(Signal, WhatIsNoMessageIsRefused) {
  expect_error(SignalError::kNotJson, "candidate", "");
  expect_error(SignalError::kNotJson, "candidate", "[]");
  expect_error(SignalError::kNotJson, "candidate", "{\"action\":");
  expect_error(SignalError::kUnknownAction, "teleport", "{}");
  expect_error(SignalError::kMissingField, "candidate", "{}");
  expect_error(SignalError::kMissingField, "candidates-end", "{}");
  expect_error(SignalError::kTooLong, "candidates-end",
               R"({"generation":1,"pad":")" + std::string(kMaxSignalBytes, 'x') + "\"}");
}

TEST(Signal, DescriptionsOutOfBoundsAreRefused) {
  const auto bad = [](std::string_view from, std::string_view to) {
    expect_error(SignalError::kBadField, "ice-description", replaced(kDescription, from, to));
  };
  bad("\"generation\":3", "\"generation\":-1");
  bad("\"generation\":3", "\"generation\":4294967296");
  bad("\"generation\":3", "\"generation\":1.5");
  bad("\"generation\":3", "\"generation\":\"3\"");
  bad("aB9+", "aB9");
  bad("aB9+", "a:b9");
  bad("aB9+", "a b9");
  bad("aB9+", std::string(kMaxUfrag + 1, 'a'));
  bad("\"aB9+\"", "null");
  bad("+/\"", "\"");
  bad("+/\"", std::string(kMaxPassword, 'a') + "\"");
}

TEST(Signal, CandidatesOutOfBoundsAreRefused) {
  const auto bad = [](std::string_view from, std::string_view to) {
    expect_error(SignalError::kBadField, "candidate", replaced(kCandidate, from, to));
  };
  bad("srflx", "prflx");
  bad("\"srflx\"", "7");
  bad("198.51.100.7", "example.org");
  bad("198.51.100.7", "0.0.0.0");
  bad("198.51.100.7", "::");
  bad("198.51.100.7", "::ffff:198.51.100.7");
  bad("198.51.100.7", "fe80::1%eth0");
  bad("4500", "0");
  bad("4500", "65536");
  bad("1694498815", "0");
  bad("1694498815", "2147483648");
  bad("\"foundation\":\"2\"", "\"foundation\":\"\"");
  bad("\"foundation\":\"2\"", "\"foundation\":\"" + std::string(kMaxFoundation + 1, 'f') + "\"");
}

TEST(Signal, PathsThatDoNotExistAreRefused) {
  expect_error(SignalError::kBadField, "path-changed", R"({"epoch":0,"path":"relay"})");
  expect_error(SignalError::kBadField, "path-changed", R"({"epoch":1,"path":"cascade"})");
  expect_error(SignalError::kBadField, "path-changed", R"({"epoch":1,"path":null})");
  expect_error(SignalError::kMissingField, "path-changed", R"({"epoch":1})");
}

}  // namespace
}  // namespace higgs::path
