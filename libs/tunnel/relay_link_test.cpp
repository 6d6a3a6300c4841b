#include "tunnel/relay_link.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "net/testing/loop_thread.h"
#include "net/testing/socket_pair.h"

namespace higgs::tunnel {
namespace {

using Role = net::WebSocketConnection::Role;
using net::testing::LoopThread;
using net::testing::make_socket_pair;

struct Owner : RelayLinkOwner {
  void on_link_packets(LinkId, relay::Channel channel, std::span<const MutableBytes> packets) override {
    for (const MutableBytes packet : packets) received.emplace_back(channel, to_bytes(packet));
  }
  void on_link_text(LinkId, std::string_view text) override { texts.emplace_back(text); }
  void on_link_doubtful(LinkId) override { ++doubts; }
  void on_link_ended(LinkId, std::uint16_t c, std::string_view) override {
    ++ended;
    code = c;
  }
  std::vector<std::pair<relay::Channel, Bytes>> received;
  std::vector<std::string> texts;
  int ended = 0, code = 0, doubts = 0;
};

/// The server's end: keeps the batches that come.
struct Relay : net::WebSocketConnection::Handler {
  void on_binary(MutableBytes message) override {
    ++messages;
    relay::Batch batch;
    if (!relay::parse_batch(message, batch)) return void(++malformed);
    for (const MutableBytes packet : batch.all()) received.emplace_back(batch.channel, to_bytes(packet));
  }
  void on_text(std::string_view message) override { texts.emplace_back(message); }
  void on_pong(ByteView) override {}
  void on_writable() override {}
  void on_closed(std::uint16_t c, std::string_view) override { code = c; }
  std::vector<std::pair<relay::Channel, Bytes>> received;
  std::vector<std::string> texts;
  int messages = 0, malformed = 0, code = 0;
};

Bytes packet(std::size_t size, unsigned seed) {
  Bytes bytes(size);
  SeededRandom(seed).fill(bytes);
  return bytes;
}

class RelayLinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pair = make_socket_pair(true);
    thread_.call([&] {
      server_ =
          std::make_unique<net::WebSocketConnection>(Role::kServer, net::UpgradedSocket{std::move(pair.server), {}});
      link_ = std::make_unique<RelayLink>(7, net::UpgradedSocket{std::move(pair.client), {}}, thread_.loop(), owner_);
    });
  }
  void TearDown() override {
    thread_.call([this] {
      link_.reset();
      server_.reset();
    });
  }
  void serve() {
    thread_.call([this] { server_->start(thread_.loop(), relay_); });
  }
  /// Loop thread.
  void send(relay::Channel channel, const Bytes& bytes) {
    const ByteView view = bytes;
    link_->send(channel, {&view, 1});
  }

  LoopThread thread_;
  Owner owner_;
  Relay relay_;
  std::unique_ptr<net::WebSocketConnection> server_;
  std::unique_ptr<RelayLink> link_;
};

TEST_F(RelayLinkTest, WhatIsReadyInOneTurnGoesInOneMessage) {
  serve();
  std::vector<std::pair<relay::Channel, Bytes>> expected;
  thread_.call([&] {
    for (unsigned i = 0; i < 10; ++i) {
      expected.emplace_back(3, packet(100 + i, i));
      send(3, expected.back().second);
    }
    expected.emplace_back(4, packet(50, 99));
    send(4, expected.back().second);
  });
  thread_.wait([&] { return relay_.received.size() == 11; });
  EXPECT_EQ(relay_.received, expected);
  EXPECT_EQ(relay_.messages, 2);  // one a channel
  thread_.call([&] {
    EXPECT_EQ(link_->status().sent_packets, 11u);
    EXPECT_EQ(link_->status().dropped_packets, 0u);
  });
}

TEST_F(RelayLinkTest, MoreThanAMessageHoldsIsSplitAtPackets) {
  serve();
  thread_.call([&] {
    for (unsigned i = 0; i < 100; ++i) send(0, packet(32, i));
    for (unsigned i = 0; i < 60; ++i) send(0, packet(1452, i));
  });
  thread_.wait([&] { return relay_.received.size() == 160; });
  EXPECT_EQ(relay_.malformed, 0);
  for (unsigned i = 0; i < 60; ++i) EXPECT_EQ(relay_.received[100 + i].second, packet(1452, i));
}

TEST_F(RelayLinkTest, PacketsComeInWithTheirChannel) {
  serve();
  Bytes buffer(relay::kMaxMessageBytes);
  relay::BatchBuilder builder(buffer);
  builder.append(packet(148, 1));
  builder.append(packet(1452, 2));
  const ByteView message = builder.finish(9);
  thread_.call([&] { server_->send_binary({&message, 1}); });
  thread_.wait([&] { return owner_.received.size() == 2; });
  EXPECT_EQ(owner_.received[0], std::pair(relay::Channel{9}, packet(148, 1)));
  EXPECT_EQ(owner_.received[1], std::pair(relay::Channel{9}, packet(1452, 2)));
  thread_.call([&] { EXPECT_EQ(link_->status().received_packets, 2u); });
}

TEST_F(RelayLinkTest, MalformedBatchIsCountedAndClosesTheLink) {
  serve();
  Bytes buffer(relay::kMaxMessageBytes);
  relay::BatchBuilder builder(buffer);
  builder.append(packet(148, 1));
  MutableBytes message = builder.finish(1);
  store_be<std::uint16_t>(message.data() + relay::kHeaderBytes, 149);  // runs past the end
  const ByteView view = message;
  thread_.call([&] { server_->send_binary({&view, 1}); });
  thread_.wait([&] { return owner_.ended == 1 && relay_.code != 0; });
  EXPECT_EQ(relay_.code, 1008);
  EXPECT_TRUE(owner_.received.empty());
  thread_.call([&] {
    EXPECT_EQ(link_->status().malformed, 1u);
    send(1, packet(10, 1));
    EXPECT_EQ(link_->status().dropped_packets, 1u);
    EXPECT_FALSE(link_->send_text("late"));
  });
}

TEST_F(RelayLinkTest, ControlPassesBothWays) {
  serve();
  thread_.call([&] {
    EXPECT_TRUE(link_->send_text("{\"to\":\"server\"}"));
    server_->send_text("{\"to\":\"node\"}");
  });
  thread_.wait([&] { return owner_.texts.size() == 1 && relay_.texts.size() == 1; });
  EXPECT_EQ(owner_.texts[0], "{\"to\":\"node\"}");
  EXPECT_EQ(relay_.texts[0], "{\"to\":\"server\"}");
}

TEST_F(RelayLinkTest, StalledConnectionQueuesUpToItsLimitAndDropsTheOldest) {
  constexpr unsigned kPackets = 20000;  // 29 MB: more than socket buffers and queue hold
  for (unsigned done = 0; done < kPackets; done += 40) {
    thread_.call([&] {
      for (unsigned i = done; i < done + 40; ++i) {
        Bytes bytes(1452);
        store_be(bytes.data(), i);
        send(1, bytes);
      }
    });
  }
  const auto stalled = thread_.call([&] { return link_->status(); });
  EXPECT_GT(stalled.dropped_packets, 0u);
  EXPECT_LT(stalled.sent_packets, std::uint64_t{kPackets});
  serve();
  // All that was neither dropped nor lost comes out, in order, and the newest is among it.
  thread_.wait([&] {
    const auto status = link_->status();
    return relay_.received.size() + status.dropped_packets == kPackets;
  });
  std::uint32_t previous = 0;
  for (std::size_t i = 0; i < relay_.received.size(); ++i) {
    const auto number = load_be<std::uint32_t>(relay_.received[i].second.data());
    if (i > 0) {
      ASSERT_GT(number, previous);
    }
    previous = number;
  }
  EXPECT_EQ(previous, kPackets - 1);
}

TEST_F(RelayLinkTest, PacketThatNoMessageHoldsIsDropped) {
  serve();
  thread_.call([&] {
    send(1, packet(relay::kMaxPacketBytes + 1, 1));
    send(1, {});
    send(1, packet(relay::kMaxPacketBytes, 2));
  });
  thread_.wait([&] { return relay_.received.size() == 1; });
  EXPECT_EQ(relay_.received[0].second, packet(relay::kMaxPacketBytes, 2));
  thread_.call([&] { EXPECT_EQ(link_->status().dropped_packets, 2u); });
}

TEST_F(RelayLinkTest, LinkWhoseFarEndIsSilentIsGivenUpInTwoSeconds) {
  const auto begun = std::chrono::steady_clock::now();
  thread_.call([&] { send(1, packet(100, 1)); });
  thread_.wait([&] { return owner_.ended == 1; });
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_EQ(owner_.code, 1006);
  EXPECT_EQ(owner_.doubts, 2) << "told before the end, at each probe from the second on";
  EXPECT_GE(took, std::chrono::milliseconds(1900));
}

TEST_F(RelayLinkTest, ProbeUnderTrafficMeasuresTheRoundTrip) {
  serve();
  thread_.call([&] { send(1, packet(100, 1)); });
  thread_.wait([&] { return link_->status().round_trip.has_value(); });
  EXPECT_EQ(owner_.ended, 0);
}

TEST_F(RelayLinkTest, EndOfTheConnectionIsToldOnce) {
  serve();
  thread_.call([&] { server_->close(4001, "replaced"); });
  thread_.wait([&] { return owner_.ended > 0; });
  EXPECT_EQ(owner_.code, 4001);
  thread_.call([&] { link_->close(1000, ""); });
  EXPECT_EQ(owner_.ended, 1);
}

}  // namespace
}  // namespace higgs::tunnel
