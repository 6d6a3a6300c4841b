#include "net/pcp_client.h"

#include <gtest/gtest.h>

namespace higgs::net::pcp {
namespace {

using namespace std::chrono_literals;

/// A client and a router that answers as it is told to.
class PcpClient : public ::testing::Test {
 protected:
  /// What the client sends now; empty: nothing.
  Bytes sent() {
    Bytes last;
    while (const auto datagram = client.poll_transmit()) last = *datagram;
    return last;
  }
  void pass(std::chrono::nanoseconds time) {
    const auto end = now + time;
    for (auto next = client.poll_timeout(); next && *next <= end; next = client.poll_timeout()) {
      now = std::max(now, *next);
      client.handle_timeout(now);
      if (auto datagram = sent(); !datagram.empty()) requests.push_back({now, datagram});
    }
    now = end;
  }
  static bool is_map(const Bytes& request) { return request.size() == kHeaderBytes + kMapBytes; }
  static std::uint32_t lifetime_of(const Bytes& request) { return load_be<std::uint32_t>(&request[4]); }

  Bytes answer(const Bytes& request, std::uint32_t epoch, ResultCode result = ResultCode::kSuccess,
               std::uint32_t lifetime = 3600) {
    Bytes out = request;
    out[1] |= std::byte{0x80};
    out[3] = static_cast<std::byte>(result);
    store_be(&out[4], lifetime);
    store_be(&out[8], epoch);
    std::fill(out.begin() + 12, out.begin() + 24, std::byte{0});
    if (is_map(request)) {
      store_be(&out[42], outside.port);
      std::copy(outside.address.bytes().begin(), outside.address.bytes().end(), out.begin() + 56);
    }
    return out;
  }
  void map() {
    const auto request = sent();
    ASSERT_TRUE(is_map(request));
    client.handle_packet(now, answer(request, epoch()));
    ASSERT_TRUE(client.mapping());
  }
  std::uint32_t epoch() const {
    return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now - Instant{}).count());
  }

  SeededRandom random{1};
  Instant now = Instant{} + 1000s;
  Endpoint outside = *Endpoint::parse("192.0.2.7:40000");
  Client client{now, {.address = *IpAddress::parse("10.2.0.2"), .port = 51820}, random};
  struct Request {
    Instant at;
    Bytes bytes;
  };
  std::vector<Request> requests;
};

TEST_F(PcpClient, MapsAndAsksForTheSamePortOutside) {
  const auto request = sent();
  ASSERT_TRUE(is_map(request));
  EXPECT_EQ(load_be<std::uint16_t>(&request[42]), 51820);
  client.handle_packet(now, answer(request, epoch()));
  ASSERT_TRUE(client.mapping());
  EXPECT_EQ(client.mapping()->external, outside);
  EXPECT_EQ(client.mapping()->lifetime, 3600s);
  EXPECT_EQ(client.failure(), "");
}

TEST_F(PcpClient, RepeatsWithGrowingPausesThenGivesUpForLong) {
  sent();
  pass(60s);
  ASSERT_GE(requests.size(), 3u);
  EXPECT_LE(requests.size(), 5u);
  EXPECT_NEAR(static_cast<double>((requests[0].at - (Instant{} + 1000s)) / 1ms), 3000, 301);
  EXPECT_GT(requests[2].at - requests[1].at, 1.5 * (requests[1].at - requests[0].at));
  EXPECT_EQ(client.failure(), "the router does not answer");
  requests.clear();
  pass(1h);
  EXPECT_LE(requests.size(), 35u) << "a router without PCP is hardly asked";
  EXPECT_GE(requests.size(), 20u);
}

TEST_F(PcpClient, WhileItStandsOnlyTheEpochIsLookedAt) {
  map();
  pass(30s);
  ASSERT_GE(requests.size(), 4u);
  for (const auto& request : requests) EXPECT_FALSE(is_map(request.bytes));
}

TEST_F(PcpClient, RenewsAtHalfItsLife) {
  map();
  const auto mapped = now;
  for (int second = 0; second < 1790; ++second) {
    pass(1s);
    for (const auto& request : requests) {
      EXPECT_FALSE(is_map(request.bytes)) << second;
      client.handle_packet(now, answer(request.bytes, epoch()));
    }
    requests.clear();
  }
  pass(15s);
  const auto renewal = std::find_if(requests.begin(), requests.end(), [](const auto& r) { return is_map(r.bytes); });
  ASSERT_NE(renewal, requests.end());
  EXPECT_EQ(renewal->at - mapped, 1800s);
  EXPECT_EQ(load_be<std::uint16_t>(&renewal->bytes[42]), outside.port) << "the port that it has";
}

TEST_F(PcpClient, RouterThatForgotIsAskedAgainAtOnce) {
  map();
  pass(5s);
  ASSERT_EQ(requests.size(), 1u);
  client.handle_packet(now, answer(requests[0].bytes, 2));
  EXPECT_EQ(client.restarts(), 1u);
  const auto request = sent();
  ASSERT_TRUE(is_map(request));
  outside.port = 41000;
  client.handle_packet(now, answer(request, 2));
  EXPECT_EQ(client.mapping()->external.port, 41000);
}

TEST_F(PcpClient, RouterThatWasAwayIsFoundWithinOneCheck) {
  map();
  pass(60s);  // no answers at all
  EXPECT_TRUE(client.mapping()) << "until its life ends";
  requests.clear();
  pass(5s);
  ASSERT_EQ(requests.size(), 1u);
  client.handle_packet(now, answer(requests[0].bytes, 1));
  EXPECT_TRUE(is_map(sent()));
}

TEST_F(PcpClient, MappingOfASilentRouterEnds) {
  map();
  pass(3601s);
  EXPECT_FALSE(client.mapping());
  EXPECT_NE(client.failure(), "");
}

TEST_F(PcpClient, RefusalIsToldAndRespected) {
  const auto request = sent();
  client.handle_packet(now, answer(request, epoch(), ResultCode::kNotAuthorized, 600));
  EXPECT_FALSE(client.mapping());
  EXPECT_EQ(client.failure(), "the router does not allow it");
  pass(599s);
  EXPECT_TRUE(requests.empty());
  pass(2s);
  EXPECT_EQ(requests.size(), 1u);
}

TEST_F(PcpClient, RefusalForEverIsAskedAgainAllTheSame) {
  client.handle_packet(now, answer(sent(), epoch(), ResultCode::kNoResources, 0xffffffff));
  pass(Client::kLongestRefusal);
  EXPECT_EQ(requests.size(), 1u);
}

TEST_F(PcpClient, RouterWithoutPcpIsUnderstoodAtOnce) {
  sent();
  client.handle_packet(now, from_hex("0081000100000010").value());
  EXPECT_EQ(client.failure(), "the router does not speak this version");
  pass(100s);
  EXPECT_TRUE(requests.empty());
}

TEST_F(PcpClient, AnswersToOthersAreIgnored) {
  const auto request = sent();
  auto other_nonce = answer(request, epoch());
  other_nonce[24] ^= std::byte{1};
  client.handle_packet(now, other_nonce);
  EXPECT_FALSE(client.mapping());
  auto other_port = answer(request, epoch());
  other_port[41] ^= std::byte{1};
  client.handle_packet(now, other_port);
  EXPECT_FALSE(client.mapping());
  client.handle_packet(now, answer(request, epoch()));
  EXPECT_TRUE(client.mapping());
}

TEST_F(PcpClient, LifetimesAreBounded) {
  client.handle_packet(now, answer(sent(), epoch(), ResultCode::kSuccess, 0xffffffff));
  EXPECT_EQ(client.mapping()->lifetime, Client::kLongest);
  client.refresh(now);
  client.handle_packet(now, answer(sent(), epoch(), ResultCode::kSuccess, 1));
  EXPECT_EQ(client.mapping()->lifetime, Client::kShortest);
}

TEST_F(PcpClient, ReleaseDeletesUntilAnswered) {
  map();
  client.release(now);
  const auto request = sent();
  ASSERT_TRUE(is_map(request));
  EXPECT_EQ(lifetime_of(request), 0u);
  EXPECT_FALSE(client.mapping());
  EXPECT_FALSE(client.release_done());
  now += 400ms;
  client.handle_timeout(now);
  EXPECT_EQ(lifetime_of(sent()), 0u) << "repeated";
  client.handle_packet(now, answer(request, epoch(), ResultCode::kSuccess, 3600));
  EXPECT_FALSE(client.release_done()) << "that answers what was asked before";
  client.handle_packet(now, answer(request, epoch(), ResultCode::kSuccess, 0));
  EXPECT_TRUE(client.release_done());
  EXPECT_FALSE(client.poll_timeout());
}

}  // namespace
}  // namespace higgs::net::pcp
