// The client against the server, over a network of function calls.
#include <deque>
#include <map>

#include <gtest/gtest.h>

#include "turn/turn_client.h"
#include "turn/turn_server.h"

namespace higgs::turn {
namespace {

using namespace std::chrono_literals;

const Endpoint kServer = *Endpoint::parse("192.0.2.1:3478");
const Endpoint kPeer = *Endpoint::parse("198.51.100.7:4500");
const Endpoint kForbidden = *Endpoint::parse("198.51.100.66:4500");

class ClientServerTest : public ::testing::Test, protected Authority, protected ServerOutput {
 protected:
  std::optional<SecretString> password(WallTime, std::string_view username) override {
    if (username != "user") return std::nullopt;
    return SecretString("secret");
  }
  bool permits(std::string_view, const IpAddress& peer) override { return peer != kForbidden.address; }
  std::optional<Opened> open_relay(const FiveTuple&, bool, bool, bool) override {
    return Opened{++relay_, {kServer.address, static_cast<std::uint16_t>(50000 + relay_)}, std::nullopt};
  }
  std::optional<Endpoint> claim_reserved(RelayId) override { return std::nullopt; }
  void close_relay(RelayId) override { ++closed_; }
  void send_to_client(const FiveTuple&, ByteView bytes) override { to_client_.push_back(to_bytes(bytes)); }
  void send_to_peer(RelayId, const Endpoint& peer, ByteView bytes, bool) override {
    to_peer_.emplace_back(peer, std::string(as_text(bytes)));
  }
  bool may_answer_unproven(const FiveTuple&) override { return true; }

  void make(std::string user = "user", std::string password = "secret") {
    client_ = std::make_unique<Client>(
        now_,
        ClientOptions{.server = kServer, .username = std::move(user), .password = SecretString(std::move(password))},
        random_);
    exchange();
  }
  Now both() const { return {now_, WallTime(now_.time_since_epoch())}; }
  void to_server(ByteView bytes) { server_.on_client(both(), tuple_, bytes); }
  void exchange() {
    while (true) {
      while (const auto bytes = client_->poll_transmit()) to_server(*bytes);
      if (to_client_.empty()) return;
      Bytes bytes = std::move(to_client_.front());
      to_client_.pop_front();
      if (const auto data = client_->handle_packet(now_, bytes))
        received_.emplace_back(data->peer, std::string(as_text(data->bytes)));
    }
  }
  void advance(std::chrono::seconds by) {
    const Instant until = now_ + by;
    while (true) {
      const auto a = client_->poll_timeout(), b = server_.poll_timeout();
      const Instant next = std::min(a.value_or(until), b.value_or(until));
      if (next >= until) break;
      now_ = std::max(now_, next) + 1ms;
      client_->handle_timeout(now_);
      server_.handle_timeout(both());
      exchange();
    }
    now_ = until;
  }
  void send(const Endpoint& peer, std::string_view text) {
    ByteArray<256> buffer;
    const auto wrapped = client_->wrap(peer, as_bytes(text), random_, buffer);
    if (!wrapped.empty()) to_server(wrapped);
  }

  using Said = std::pair<Endpoint, std::string>;
  SeededRandom random_{3};
  Instant now_{1000s};
  Server server_{{}, *this, *this, random_};
  FiveTuple tuple_{Transport::kUdp, *Endpoint::parse("203.0.113.5:40000"), kServer};
  std::unique_ptr<Client> client_;
  RelayId relay_ = 0;
  unsigned closed_ = 0;
  std::deque<Bytes> to_client_;
  std::vector<Said> to_peer_, received_;
};

TEST_F(ClientServerTest, PacketsPassBothWays) {
  make();
  ASSERT_EQ(client_->state(), ClientState::kAllocated);
  EXPECT_EQ(client_->mapped(), tuple_.client);
  client_->add_peer(now_, kPeer);
  exchange();
  ASSERT_TRUE(client_->ready(kPeer));
  ASSERT_NE(client_->channel(kPeer), 0u);
  send(kPeer, "by channel");
  send({kPeer.address, 9}, "by indication");
  EXPECT_EQ(to_peer_, (std::vector<Said>{{kPeer, "by channel"}, {{kPeer.address, 9}, "by indication"}}));
  server_.on_peer(both(), relay_, kPeer, as_bytes("back"));
  server_.on_peer(both(), relay_, {kPeer.address, 9}, as_bytes("and back"));
  server_.on_peer(both(), relay_, kForbidden, as_bytes("never"));
  exchange();
  EXPECT_EQ(received_, (std::vector<Said>{{kPeer, "back"}, {{kPeer.address, 9}, "and back"}}));
}

TEST_F(ClientServerTest, StandsForHoursAndThroughNewNonces) {
  make();
  client_->add_peer(now_, kPeer);
  exchange();
  for (int hour = 0; hour < 6; ++hour) {
    advance(1h);
    ASSERT_EQ(client_->state(), ClientState::kAllocated) << hour << " " << client_->error();
    ASSERT_TRUE(client_->ready(kPeer));
    to_peer_.clear();
    send(kPeer, "still");
    EXPECT_EQ(to_peer_.size(), 1u);
  }
  EXPECT_EQ(server_.counters().allocations, 1u);
  EXPECT_EQ(server_.counters().expired, 0u);
  EXPECT_GT(server_.counters().stale_nonce, 0u);
}

TEST_F(ClientServerTest, AForbiddenPeerIsNeverReady) {
  make();
  client_->add_peer(now_, kForbidden);
  client_->add_peer(now_, kPeer);
  exchange();
  EXPECT_FALSE(client_->ready(kForbidden));
  EXPECT_TRUE(client_->ready(kPeer));
  EXPECT_EQ(client_->state(), ClientState::kAllocated);
}

TEST_F(ClientServerTest, AStrangerIsRefused) {
  make("stranger");
  EXPECT_EQ(client_->state(), ClientState::kFailed);
  EXPECT_EQ(client_->error(), 401u);
  make("user", "guess");
  EXPECT_EQ(client_->state(), ClientState::kFailed);
  EXPECT_EQ(server_.allocations(), 0u);
}

TEST_F(ClientServerTest, ASecondRunOnTheSamePortTakesThePlaceOfTheFirst) {
  make();
  make();
  EXPECT_EQ(client_->state(), ClientState::kAllocated);
  EXPECT_EQ(server_.allocations(), 1u);
}

TEST_F(ClientServerTest, FromAnotherAddressItAllocatesAgain) {
  make();
  client_->add_peer(now_, kPeer);
  exchange();
  const auto before = client_->relayed();
  tuple_.client = *Endpoint::parse("203.0.113.99:41000");
  client_->verify(now_);
  exchange();
  EXPECT_EQ(client_->state(), ClientState::kAllocated);
  EXPECT_NE(client_->relayed(), before);
  EXPECT_EQ(client_->mapped(), tuple_.client);
  EXPECT_TRUE(client_->ready(kPeer));
}

TEST_F(ClientServerTest, CloseFreesTheAllocation) {
  make();
  client_->close(now_);
  exchange();
  EXPECT_EQ(server_.allocations(), 0u);
  EXPECT_EQ(closed_, 1u);
}

}  // namespace
}  // namespace higgs::turn
