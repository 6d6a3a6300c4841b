// A TURN client and a server that says what a test tells it to: for the client's unit tests.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stun/integrity.h"
#include "stun/message.h"
#include "turn/turn_client.h"

namespace higgs::turn::testing {

using stun::AttributeType;
using stun::MessageClass;

inline const Endpoint kServer = *Endpoint::parse("192.0.2.1:3478");
inline const Endpoint kPeer = *Endpoint::parse("198.51.100.7:4500");
inline const Endpoint kSamePeer = *Endpoint::parse("198.51.100.7:4501");
inline const Endpoint kOther = *Endpoint::parse("198.51.100.8:4500");
inline const Endpoint kRelayed = *Endpoint::parse("192.0.2.1:50000");
inline const Endpoint kMapped = *Endpoint::parse("203.0.113.5:40000");

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

class TurnClientTest : public ::testing::Test {
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

}  // namespace higgs::turn::testing
