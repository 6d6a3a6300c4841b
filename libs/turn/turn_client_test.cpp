#include "turn/turn_client.h"

#include <deque>
#include <functional>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "stun/integrity.h"
#include "stun/message.h"

namespace higgs::turn {
namespace {

using namespace std::chrono_literals;
using stun::AttributeType;
using stun::MessageClass;

const Endpoint kServer = *Endpoint::parse("192.0.2.1:3478");
const Endpoint kPeer = *Endpoint::parse("198.51.100.7:4500");
const Endpoint kSamePeer = *Endpoint::parse("198.51.100.7:4501");
const Endpoint kOther = *Endpoint::parse("198.51.100.8:4500");
const Endpoint kRelayed = *Endpoint::parse("192.0.2.1:50000");
const Endpoint kMapped = *Endpoint::parse("203.0.113.5:40000");

/// Says what it is told to say, and remembers what it was asked.
class ScriptedServer {
 public:
  std::string realm = "higgs", nonce = "n1", password = "secret";
  std::map<std::uint16_t, unsigned> refuse;  ///< method → error code
  bool sign_errors = true;
  bool silent = false;
  std::uint32_t lifetime = 600;
  std::vector<std::uint16_t> asked;              ///< methods, of authenticated requests
  std::vector<std::uint32_t> refresh_lifetimes;  ///< absent: 0xFFFFFFFF
  std::vector<Endpoint> permissions;
  std::map<std::uint16_t, Endpoint> channels;
  std::set<stun::TransactionId> transactions;

  std::optional<Bytes> answer(ByteView request) {
    const auto message = stun::parse(request);
    EXPECT_TRUE(message);
    if (!message || silent || message->message_class != MessageClass::kRequest) return std::nullopt;
    EXPECT_TRUE(message->has_fingerprint);
    if (message->text(AttributeType::kNonce) != std::string_view(nonce))
      return error(*message, message->has(AttributeType::kNonce) ? 438 : 401, false);
    EXPECT_EQ(message->text(AttributeType::kUsername), std::string_view("user"));
    EXPECT_EQ(message->text(AttributeType::kRealm), std::string_view(realm));
    if (stun::check_integrity(request, *message, key()) != stun::Integrity::kGood) return error(*message, 401, false);
    if (!transactions.insert(message->transaction).second) ++repeated;
    asked.push_back(message->method);
    if (const auto code = refuse.find(message->method); code != refuse.end())
      return error(*message, code->second, sign_errors);
    return success(*message);
  }
  Bytes indication(const Endpoint& peer, ByteView data) {
    ByteArray<2048> buffer;
    stun::MessageBuilder builder(buffer, MessageClass::kIndication, stun::kDataMethod, {});
    return to_bytes(
        builder.add_xor_address(AttributeType::kXorPeerAddress, peer).add(AttributeType::kData, data).finish());
  }
  stun::IntegrityKey key() const { return stun::IntegrityKey::long_term_md5("user", realm, password); }
  std::size_t count(std::uint16_t method) const { return static_cast<std::size_t>(std::ranges::count(asked, method)); }

  unsigned repeated = 0;

 private:
  Bytes error(const stun::Message& request, unsigned code, bool sign) {
    ByteArray<1024> buffer;
    stun::MessageBuilder builder(buffer, MessageClass::kError, request.method, request.transaction);
    builder.add_error(code, "no");
    if (code == 401 || code == 438)
      builder.add_text(AttributeType::kRealm, realm).add_text(AttributeType::kNonce, nonce);
    if (sign) builder.add_message_integrity(key());
    return to_bytes(builder.finish());
  }
  Bytes success(const stun::Message& request) {
    ByteArray<1024> buffer;
    stun::MessageBuilder builder(buffer, MessageClass::kSuccess, request.method, request.transaction);
    const auto peer = request.xor_address(AttributeType::kXorPeerAddress);
    switch (request.method) {
      case stun::kAllocateMethod:
        EXPECT_EQ(request.u32(AttributeType::kRequestedTransport), 17u << 24);
        family = request.u32(AttributeType::kRequestedAddressFamily);
        builder.add_xor_address(AttributeType::kXorRelayedAddress, kRelayed);
        builder.add_xor_mapped_address(kMapped).add_u32(AttributeType::kLifetime, lifetime);
        break;
      case stun::kRefreshMethod: {
        const auto wanted = request.u32(AttributeType::kLifetime);
        refresh_lifetimes.push_back(wanted.value_or(0xFFFFFFFF));
        builder.add_u32(AttributeType::kLifetime, wanted.value_or(lifetime));
        break;
      }
      case stun::kCreatePermissionMethod:
        permissions.push_back(peer.value_or(Endpoint{}));
        break;
      case stun::kChannelBindMethod:
        channels[static_cast<std::uint16_t>(request.u32(AttributeType::kChannelNumber).value_or(0) >> 16)] =
            peer.value_or(Endpoint{});
        break;
      default:
        ADD_FAILURE() << "method " << request.method;
    }
    return to_bytes(builder.add_message_integrity(key()).add_fingerprint().finish());
  }

 public:
  std::optional<std::uint32_t> family;
};

class TurnClientTest : public testing::Test {
 protected:
  void make(bool ipv6 = false, std::size_t max_peers = 16) {
    client = std::make_unique<Client>(now,
                                      ClientOptions{.server = kServer,
                                                    .username = "user",
                                                    .password = SecretString("secret"),
                                                    .ipv6 = ipv6,
                                                    .max_peers = max_peers},
                                      random);
  }
  /// Lets both talk until neither has anything more to say.
  void exchange() {
    while (auto request = client->poll_transmit()) {
      ++sent;
      if (drop && drop(*request)) continue;
      auto answer = server.answer(*request);
      if (answer && mangle) mangle(*answer);
      if (!answer) continue;
      EXPECT_FALSE(client->handle_packet(now, *answer));
    }
  }
  void advance(std::chrono::milliseconds by) {
    const Instant until = now + by;
    for (auto next = client->poll_timeout(); next && *next <= until; next = client->poll_timeout()) {
      now = std::max(now, *next);
      client->handle_timeout(now);
      exchange();
    }
    now = until;
  }
  void make_allocated() {
    make();
    exchange();
    ASSERT_EQ(client->state(), ClientState::kAllocated);
  }
  Bytes channel_data(std::uint16_t number, std::string_view data) {
    ByteWriter writer;
    writer.be(number);
    writer.be(static_cast<std::uint16_t>(data.size()));
    writer.bytes(as_bytes(data));
    return std::move(writer).take();
  }
  std::optional<std::pair<Endpoint, std::string>> receive(Bytes datagram) {
    const auto data = client->handle_packet(now, datagram);
    if (!data) return std::nullopt;
    return std::pair(data->peer, std::string(as_text(data->bytes)));
  }

  SeededRandom random{7};
  Instant now{};
  ScriptedServer server;
  std::unique_ptr<Client> client;
  std::function<bool(ByteView)> drop;
  std::function<void(Bytes&)> mangle;
  unsigned sent = 0;
};

TEST_F(TurnClientTest, AllocatesWithTheNonceOfThe401) {
  make();
  EXPECT_EQ(client->state(), ClientState::kAllocating);
  EXPECT_FALSE(client->relayed());
  exchange();
  EXPECT_EQ(sent, 2u);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_EQ(client->relayed(), kRelayed);
  EXPECT_EQ(client->mapped(), kMapped);
  EXPECT_FALSE(server.family);
}

TEST_F(TurnClientTest, AsksForIpv6) {
  make(true);
  exchange();
  EXPECT_EQ(server.family, 0x02000000u);
}

TEST_F(TurnClientTest, ALostRequestIsRepeated) {
  unsigned lost = 0;
  drop = [&](ByteView) { return ++lost <= 2; };
  make();
  exchange();
  EXPECT_EQ(client->state(), ClientState::kAllocating);
  advance(1s);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
}

TEST_F(TurnClientTest, ALostAnswerIsRepeatedUnderTheSameTransaction) {
  bool lose = true;
  mangle = [&](Bytes& answer) {
    if (stun::parse(answer)->message_class == MessageClass::kSuccess && std::exchange(lose, false)) answer.clear();
  };
  make();
  exchange();
  advance(1s);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_EQ(server.repeated, 1u);
}

TEST_F(TurnClientTest, AServerThatNeverAnswersIsGivenUp) {
  server.silent = true;
  make();
  exchange();
  advance(15s);
  EXPECT_EQ(client->state(), ClientState::kAllocating);
  advance(10s);
  EXPECT_EQ(client->state(), ClientState::kFailed);
  EXPECT_EQ(client->error(), 0u);
  EXPECT_EQ(sent, 7u);
  EXPECT_FALSE(client->poll_timeout());
}

TEST_F(TurnClientTest, AWrongPasswordEndsItAtOnce) {
  server.password = "another";
  make();
  exchange();
  EXPECT_EQ(client->state(), ClientState::kFailed);
  EXPECT_EQ(client->error(), 401u);
  EXPECT_EQ(sent, 2u);
}

TEST_F(TurnClientTest, QuotaAndCapacityAreTold) {
  for (const unsigned code : {486u, 508u, 442u, 300u}) {
    server.refuse = {{stun::kAllocateMethod, code}};
    server.sign_errors = code != 508;
    make();
    exchange();
    EXPECT_EQ(client->state(), ClientState::kFailed);
    EXPECT_EQ(client->error(), code);
  }
}

TEST_F(TurnClientTest, AnAllocationOfAnEarlierRunIsDeletedFirst) {
  server.refuse = {{stun::kAllocateMethod, 437}};
  drop = [&](ByteView request) {
    if (stun::parse(request)->method == stun::kRefreshMethod) server.refuse.clear();
    return false;
  };
  make();
  exchange();
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_EQ(server.refresh_lifetimes, std::vector<std::uint32_t>{0});
}

TEST_F(TurnClientTest, AnAllocationThatCannotBeDeletedEndsIt) {
  server.refuse = {{stun::kAllocateMethod, 437}};
  make();
  exchange();
  EXPECT_EQ(client->state(), ClientState::kFailed);
  EXPECT_EQ(client->error(), 437u);
  EXPECT_EQ(server.count(stun::kRefreshMethod), 1u);
}

TEST_F(TurnClientTest, StaleNoncesAreFollowedButNotForEver) {
  make_allocated();
  server.nonce = "n2";
  ASSERT_TRUE(client->add_peer(now, kPeer));
  exchange();
  EXPECT_TRUE(client->ready(kPeer));
  EXPECT_EQ(server.nonce, "n2");

  unsigned serial = 0;
  drop = [&](ByteView) {
    server.nonce = "m" + std::to_string(++serial);
    return false;
  };
  client->verify(now);
  exchange();
  EXPECT_EQ(client->state(), ClientState::kFailed);
  EXPECT_EQ(client->error(), 438u);
  EXPECT_LT(serial, 10u);
}

TEST_F(TurnClientTest, ForgedAnswersAreNotBelieved) {
  // A success whose integrity is of another key, or that has none.
  mangle = [&](Bytes& answer) {
    const auto message = stun::parse(answer);
    if (message->message_class != MessageClass::kSuccess) return;
    ByteArray<512> buffer;
    stun::MessageBuilder builder(buffer, MessageClass::kSuccess, message->method, message->transaction);
    builder.add_xor_address(AttributeType::kXorRelayedAddress, kOther).add_u32(AttributeType::kLifetime, 600);
    if (sent % 2 == 0) builder.add_message_integrity(stun::IntegrityKey::long_term_md5("user", "higgs", "guess"));
    answer = to_bytes(builder.finish());
  };
  make();
  exchange();
  advance(1s);
  EXPECT_EQ(client->state(), ClientState::kAllocating);
  mangle = nullptr;
  advance(3s);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_EQ(client->relayed(), kRelayed);
}

TEST_F(TurnClientTest, AnErrorWithBadIntegrityIsNotBelieved) {
  make_allocated();
  server.refuse = {{stun::kRefreshMethod, 437}};
  const auto right = server.key();
  mangle = [&](Bytes& answer) { answer.back() ^= std::byte{1}; };
  client->verify(now);
  exchange();
  EXPECT_EQ(client->state(), ClientState::kAllocated);
}

TEST_F(TurnClientTest, ASuccessWithoutAuthenticationIsNotBelieved) {
  make();
  const auto request = stun::parse(*client->poll_transmit());
  ByteArray<512> buffer;
  stun::MessageBuilder builder(buffer, MessageClass::kSuccess, stun::kAllocateMethod, request->transaction);
  builder.add_xor_address(AttributeType::kXorRelayedAddress, kOther).add_u32(AttributeType::kLifetime, 600);
  Bytes answer = to_bytes(builder.finish());
  client->handle_packet(now, answer);
  EXPECT_EQ(client->state(), ClientState::kAllocating);
}

TEST_F(TurnClientTest, RefreshesAtHalfTheLifetime) {
  make_allocated();
  advance(299s);
  EXPECT_EQ(server.count(stun::kRefreshMethod), 0u);
  advance(2s);
  EXPECT_EQ(server.count(stun::kRefreshMethod), 1u);
  advance(3600s);
  EXPECT_EQ(server.count(stun::kRefreshMethod), 13u);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
}

TEST_F(TurnClientTest, ALifetimeOfNothingDoesNotMakeItSpin) {
  server.lifetime = 0;
  make_allocated();
  advance(300s);
  EXPECT_LE(server.count(stun::kRefreshMethod), 10u);
}

TEST_F(TurnClientTest, PermissionFirstThenTheChannel) {
  make_allocated();
  ByteArray<256> buffer;
  EXPECT_TRUE(client->wrap(kPeer, as_bytes("hello"), random, buffer).empty());
  ASSERT_TRUE(client->add_peer(now, kPeer));
  EXPECT_FALSE(client->ready(kPeer));
  EXPECT_TRUE(client->wrap(kPeer, as_bytes("hello"), random, buffer).empty());

  // The permission's answer alone: Send indications.
  auto answer = server.answer(*client->poll_transmit());
  client->handle_packet(now, *answer);
  EXPECT_TRUE(client->ready(kPeer));
  EXPECT_EQ(client->channel(kPeer), 0u);
  const auto indication = stun::parse(client->wrap(kPeer, as_bytes("hello"), random, buffer));
  ASSERT_TRUE(indication);
  EXPECT_EQ(indication->message_class, MessageClass::kIndication);
  EXPECT_EQ(indication->method, stun::kSendMethod);
  EXPECT_EQ(indication->xor_address(AttributeType::kXorPeerAddress), kPeer);
  EXPECT_EQ(as_text(*indication->find(AttributeType::kData)), "hello");

  exchange();
  const auto number = client->channel(kPeer);
  ASSERT_GE(number, 0x4000);
  ASSERT_LE(number, 0x4FFF);
  EXPECT_EQ(server.channels.at(number), kPeer);
  const auto wrapped = client->wrap(kPeer, as_bytes("hello"), random, buffer);
  EXPECT_EQ(to_bytes(wrapped), channel_data(number, "hello"));
}

TEST_F(TurnClientTest, PeersAddedBeforeTheAllocationAreAskedForAfterIt) {
  make();
  ASSERT_TRUE(client->add_peer(now, kPeer));
  exchange();
  EXPECT_TRUE(client->ready(kPeer));
  EXPECT_NE(client->channel(kPeer), 0u);
}

TEST_F(TurnClientTest, APermissionIsOfAnAddressAChannelOfAnEndpoint) {
  make_allocated();
  client->add_peer(now, kPeer);
  client->add_peer(now, kPeer);
  client->add_peer(now, kSamePeer);
  exchange();
  EXPECT_EQ(server.permissions.size(), 1u);
  EXPECT_EQ(server.channels.size(), 2u);
  EXPECT_NE(client->channel(kPeer), client->channel(kSamePeer));
  // A third port of that address has no channel and passes all the same.
  const Endpoint third{kPeer.address, 9};
  EXPECT_TRUE(client->ready(third));
  EXPECT_EQ(client->channel(third), 0u);
  ByteArray<128> buffer;
  EXPECT_TRUE(stun::parse(client->wrap(third, as_bytes("x"), random, buffer)));
}

TEST_F(TurnClientTest, APacketThatDoesNotFitIsNotWrapped) {
  make_allocated();
  client->add_peer(now, kPeer);
  exchange();
  const Bytes packet(100);
  for (std::size_t room = 0; room < packet.size() + kChannelHeaderBytes; ++room) {
    Bytes buffer(room);
    EXPECT_TRUE(client->wrap(kPeer, packet, random, buffer).empty());
    EXPECT_TRUE(client->wrap({kPeer.address, 9}, packet, random, buffer).empty());
  }
  Bytes buffer(packet.size() + 64);
  EXPECT_FALSE(client->wrap({kPeer.address, 9}, packet, random, buffer).empty());
}

TEST_F(TurnClientTest, PermissionsAndChannelsAreRenewedBeforeTheyEnd) {
  make_allocated();
  client->add_peer(now, kPeer);
  exchange();
  advance(250s);
  EXPECT_EQ(server.permissions.size(), 2u);
  advance(250s);
  EXPECT_EQ(server.permissions.size(), 3u);
  EXPECT_EQ(server.count(stun::kChannelBindMethod), 2u);
  EXPECT_EQ(server.channels.size(), 1u);
  advance(3600s);
  EXPECT_EQ(server.channels.size(), 1u);
  EXPECT_GE(server.count(stun::kCreatePermissionMethod), 4100u / 300u);
  EXPECT_GE(server.count(stun::kChannelBindMethod), 4100u / 600u);
}

TEST_F(TurnClientTest, ARefusedPeerIsNotReadyAndAskedForLater) {
  make_allocated();
  server.refuse = {{stun::kCreatePermissionMethod, 403}};
  client->add_peer(now, kPeer);
  exchange();
  EXPECT_FALSE(client->ready(kPeer));
  EXPECT_EQ(server.count(stun::kChannelBindMethod), 0u);
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  server.refuse.clear();
  advance(14s);
  EXPECT_FALSE(client->ready(kPeer));
  advance(2s);
  EXPECT_TRUE(client->ready(kPeer));
}

TEST_F(TurnClientTest, ARefusedChannelLeavesThePermission) {
  make_allocated();
  server.refuse = {{stun::kChannelBindMethod, 508}};
  client->add_peer(now, kPeer);
  exchange();
  EXPECT_TRUE(client->ready(kPeer));
  EXPECT_EQ(client->channel(kPeer), 0u);
}

TEST_F(TurnClientTest, DataOfPeersComesOutInPlace) {
  make_allocated();
  client->add_peer(now, kPeer);
  exchange();
  using Data = std::pair<Endpoint, std::string>;
  EXPECT_EQ(receive(server.indication(kPeer, as_bytes("one"))), Data(kPeer, "one"));
  EXPECT_EQ(receive(server.indication({kPeer.address, 9}, as_bytes("two"))), Data({kPeer.address, 9}, "two"));
  EXPECT_EQ(receive(channel_data(client->channel(kPeer), "three")), Data(kPeer, "three"));
  // Over UDP padding may follow (RFC 8656, section 12.5).
  Bytes padded = channel_data(client->channel(kPeer), "three");
  padded.resize(padded.size() + 3);
  EXPECT_EQ(receive(padded), Data(kPeer, "three"));
}

TEST_F(TurnClientTest, DataOfOthersIsIgnored) {
  make_allocated();
  client->add_peer(now, kPeer);
  EXPECT_FALSE(receive(server.indication(kPeer, as_bytes("early"))));
  exchange();
  const auto number = client->channel(kPeer);
  EXPECT_FALSE(receive(server.indication(kOther, as_bytes("x"))));
  EXPECT_FALSE(receive(channel_data(static_cast<std::uint16_t>(number + 1), "x")));
  EXPECT_FALSE(receive(channel_data(0x5000, "x")));
  Bytes cut = channel_data(number, "12345");
  cut.pop_back();
  EXPECT_FALSE(receive(cut));
  EXPECT_FALSE(receive({}));
  EXPECT_FALSE(receive(Bytes(3, std::byte{0x40})));
  client->drop_peer(kPeer);
  EXPECT_FALSE(receive(channel_data(number, "x")));
  EXPECT_FALSE(receive(server.indication(kPeer, as_bytes("x"))));
}

TEST_F(TurnClientTest, PeersAreLimited) {
  make(false, 2);
  exchange();
  EXPECT_TRUE(client->add_peer(now, kPeer));
  EXPECT_TRUE(client->add_peer(now, kOther));
  EXPECT_FALSE(client->add_peer(now, kSamePeer));
  EXPECT_TRUE(client->add_peer(now, kPeer));
  client->drop_peer(kOther);
  EXPECT_TRUE(client->add_peer(now, kSamePeer));
}

TEST_F(TurnClientTest, ManyPeersAreAskedForAFewAtATime) {
  make_allocated();
  for (std::uint16_t i = 0; i < 16; ++i) {
    ASSERT_TRUE(client->add_peer(now, {IpAddress::v4(0xC6336400u + i), 5000}));
  }
  unsigned burst = 0;
  while (client->poll_transmit()) ++burst;
  EXPECT_LE(burst, 8u);
  advance(2s);
  EXPECT_EQ(server.permissions.size(), 16u);
  EXPECT_EQ(server.channels.size(), 16u);
}

TEST_F(TurnClientTest, AfterAChangeOfNetworkItMakesAnotherAllocation) {
  make_allocated();
  client->add_peer(now, kPeer);
  exchange();
  ASSERT_NE(client->channel(kPeer), 0u);
  client->verify(now);
  exchange();
  EXPECT_EQ(server.count(stun::kAllocateMethod), 1u);

  server.refuse = {{stun::kRefreshMethod, 437}};
  client->verify(now);
  const auto refused = server.answer(*client->poll_transmit());
  Bytes answer = *refused;
  client->handle_packet(now, answer);
  EXPECT_EQ(client->state(), ClientState::kAllocating);
  EXPECT_FALSE(client->relayed());
  EXPECT_FALSE(client->ready(kPeer));
  EXPECT_EQ(client->channel(kPeer), 0u);
  exchange();
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_TRUE(client->ready(kPeer));
  EXPECT_NE(client->channel(kPeer), 0u);
}

TEST_F(TurnClientTest, AServerThatForgetsEverythingIsGivenUpInTheEnd) {
  make_allocated();
  client->add_peer(now, kPeer);
  server.refuse = {{stun::kCreatePermissionMethod, 437}};
  exchange();
  EXPECT_EQ(client->state(), ClientState::kFailed);
  EXPECT_EQ(client->error(), 437u);
  EXPECT_LT(sent, 40u);
}

TEST_F(TurnClientTest, CloseDeletesTheAllocation) {
  make_allocated();
  client->close(now);
  EXPECT_EQ(client->state(), ClientState::kClosed);
  EXPECT_FALSE(client->relayed());
  EXPECT_FALSE(client->poll_timeout());
  exchange();
  EXPECT_EQ(server.refresh_lifetimes, std::vector<std::uint32_t>{0});
  EXPECT_FALSE(client->poll_transmit());
}

TEST_F(TurnClientTest, CloseBeforeTheFirstAnswerSaysNothing) {
  make();
  client->close(now);
  EXPECT_FALSE(client->poll_transmit());
}

TEST_F(TurnClientTest, RubbishMovesNothing) {
  make_allocated();
  client->add_peer(now, kPeer);
  exchange();
  SeededRandom noise(3);
  for (int i = 0; i < 20000; ++i) {
    Bytes datagram(noise.below(96));
    noise.fill(datagram);
    if (datagram.size() >= 20 && i % 2 == 0) {
      datagram[0] &= std::byte{0x01};
      store_be(datagram.data() + 2, static_cast<std::uint16_t>(datagram.size() - 20));
      store_be(datagram.data() + 4, stun::kMagicCookie);
    }
    client->handle_packet(now, datagram);
  }
  EXPECT_EQ(client->state(), ClientState::kAllocated);
  EXPECT_EQ(client->relayed(), kRelayed);
  EXPECT_FALSE(client->poll_transmit());
}

}  // namespace
}  // namespace higgs::turn
