// For tests of links between servers, seen from either end of one: A, where the clients are, and B, where the nodes
// are.
#pragma once

#include <algorithm>
#include <optional>

#include <gtest/gtest.h>

#include "relay/shard.h"
#include "relay/testing/recording_output.h"

namespace higgs::relay::testing {

inline constexpr LinkKey kNodeLink = 1, kClientLink = 2, kServerLink = 3, kOtherLink = 4;

template <class Id>
Id id(unsigned number) {
  ByteArray<16> bytes{};
  store_be(bytes.data() + 4, number);
  return Id(Uuid(bytes));
}
inline const ServerId kPeer = id<ServerId>(7), kThird = id<ServerId>(8);

class CascadeFixture : public ::testing::Test {
 protected:
  SessionTicket ticket(unsigned session = 1) {
    SessionTicket out;
    out.session = id<SessionId>(session);
    out.node = id<NodeId>(1);
    out.wireguard_public_key.bytes.fill(std::byte(session));
    out.addresses = {*IpPrefix::parse("10.0.0.2/32")};
    out.expires_at = now_.wall + std::chrono::hours(1);
    return out;
  }
  void pass(std::chrono::nanoseconds time) {
    const Now end{now_.monotonic + time, now_.wall + time};
    while (const auto next = shard().poll_timeout()) {
      if (*next > end.monotonic) break;
      const auto step = std::max(*next - now_.monotonic, std::chrono::nanoseconds{0});
      now_ = {now_.monotonic + step, now_.wall + step};
      shard().handle_timeout(now_);
    }
    now_ = end;
  }
  Shard& shard() {
    if (!shard_) shard_.emplace(limits_, out_);
    return *shard_;
  }
  void node_up() { shard().add_node_link(now_, kNodeLink, id<NodeId>(1), 100); }
  void client_up(LinkKey key = kClientLink, std::int64_t iat = 100, unsigned session = 1) {
    shard().add_client_link(now_, key, ticket(session), iat);
  }
  void server_up(ServerLinkDirection direction, LinkKey key = kServerLink, ServerId peer = kPeer,
                 std::int64_t iat = 100) {
    shard().add_server_link(now_, key, {peer, direction, 0, iat});
  }
  void incoming_up(LinkKey key = kServerLink, ServerId peer = kPeer) {
    server_up(ServerLinkDirection::kIncoming, key, peer);
  }
  void outgoing_up(LinkKey key = kServerLink, ServerId peer = kPeer) {
    server_up(ServerLinkDirection::kOutgoing, key, peer);
  }
  void node_is_at(ServerId server) { shard().set_node_server(now_, id<NodeId>(1), ServerRef{server, 1}); }
  void from(LinkKey key, Bytes message) { shard().on_binary(now_, key, message); }
  void say(LinkKey key, ControlPayload payload, unsigned session = 1, Direction direction = Direction::kToServer) {
    shard().on_text(now_, key, encode_control({id<SessionId>(session), direction, std::move(payload)}));
  }
  SessionOpen open(Channel channel, unsigned session = 1, std::int64_t iat = 100, bool new_link = true) {
    const auto what = ticket(session);
    return {channel,
            what.wireguard_public_key,
            what.addresses,
            std::nullopt,
            1,
            CascadedSession{what.node, iat, unix_seconds(what.expires_at), new_link},
            std::nullopt};
  }
  void node_ready(bool fresh = true, unsigned session = 1) {
    say(kNodeLink, SessionReady{out_.last<SessionOpen>(kNodeLink).channel, fresh}, session);
  }
  /// As B: a session of a client of A's on channel 7.
  void serve_foreign() {
    node_up();
    incoming_up();
    say(kServerLink, open(7));
    node_ready();
  }
  /// As A: a session whose node is at B, on channel 1.
  void serve_elsewhere() {
    client_up();
    node_is_at(kPeer);
    outgoing_up();
    say(kServerLink, SessionReady{out_.last<SessionOpen>(kServerLink).channel, true});
  }
  void keep_alive(std::initializer_list<LinkKey> links) {
    for (const LinkKey key : links) shard().on_alive(now_, key);
  }

  RecordingOutput out_;
  ShardLimits limits_;
  std::optional<Shard> shard_;
  Now now_{Instant(std::chrono::seconds(1000)), WallTime(std::chrono::seconds(1'800'000'000))};
};

}  // namespace higgs::relay::testing
