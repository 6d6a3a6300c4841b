// For tests: a TURN server on a table instead of sockets, and clients that say what they are told to.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "stun/integrity.h"
#include "stun/message.h"
#include "turn/turn_protocol.h"
#include "turn/turn_server.h"

namespace higgs::turn::testing {

inline Endpoint endpoint(std::string_view text) { return *Endpoint::parse(text); }

class RecordingOutput final : public ServerOutput {
 public:
  struct ToPeer {
    RelayId id = 0;
    Endpoint peer;
    std::string bytes;
    bool dont_fragment = false;
  };

  std::optional<Opened> open_relay(const FiveTuple&, bool ipv6, bool even, bool reserve) override {
    if (full) return std::nullopt;
    Opened opened;
    opened.id = ++last_;
    std::uint16_t port = next_port_++;
    if (even && port % 2 == 1) port = next_port_++;
    opened.relayed = {*IpAddress::parse(ipv6 ? "2001:db8::9" : "198.51.100.9"), port};
    open[opened.id] = opened.relayed;
    if (reserve) {
      opened.next = ++last_;
      open[*opened.next] = {opened.relayed.address, next_port_++};
    }
    return opened;
  }
  std::optional<Endpoint> claim_reserved(RelayId id) override {
    const auto found = open.find(id);
    return found == open.end() ? std::nullopt : std::optional(found->second);
  }
  void close_relay(RelayId id) override { open.erase(id); }
  void send_to_client(const FiveTuple& client, ByteView bytes) override { sent.push_back({client, to_bytes(bytes)}); }
  void send_to_peer(RelayId id, const Endpoint& peer, ByteView bytes, bool dont_fragment) override {
    to_peers.push_back({id, peer, std::string(as_text(bytes)), dont_fragment});
  }
  bool may_answer_unproven(const FiveTuple&) override { return unproven_answers > 0 && unproven_answers-- > 0; }

  std::map<RelayId, Endpoint> open;
  std::deque<std::pair<FiveTuple, Bytes>> sent;
  std::vector<ToPeer> to_peers;
  bool full = false;
  unsigned unproven_answers = 1'000'000;

 private:
  RelayId last_ = 0;
  std::uint16_t next_port_ = 50001;
};

class Users final : public Authority {
 public:
  std::optional<SecretString> password(WallTime, std::string_view user) override {
    const auto found = passwords.find(std::string(user));
    return found == passwords.end() ? std::nullopt : std::optional(SecretString(found->second));
  }
  bool permits(std::string_view, const IpAddress& peer) override { return !forbidden.contains(peer); }

  std::map<std::string, std::string> passwords = {{"alice", "wonderland"}, {"bob", "builder"}};
  std::set<IpAddress> forbidden;
};

/// An answer as the client reads it.
struct Answer {
  Bytes bytes;
  stun::Message message;
  unsigned error = 0;
  bool ok() const { return message.message_class == stun::MessageClass::kSuccess; }
};

class World;

/// A client at one 5-tuple.
class TestClient {
 public:
  using Fill = std::function<void(stun::MessageBuilder&)>;

  TestClient(World& world, Endpoint local, Transport transport = Transport::kUdp, std::string name = "alice");

  /// Without credentials.
  std::optional<Answer> bare(std::uint16_t method, const Fill& fill = {});
  /// With credentials, asking for a nonce first where there is none.
  std::optional<Answer> request(std::uint16_t method, const Fill& fill = {});
  std::optional<Answer> allocate(const Fill& more = {});
  std::optional<Answer> permit(const Endpoint& peer);
  std::optional<Answer> bind(std::uint16_t channel, const Endpoint& peer);
  void send(const Endpoint& peer, std::string_view data, bool dont_fragment = false);
  void send_channel(std::uint16_t channel, std::string_view data);
  std::optional<Answer> exchange(ByteView bytes);

  FiveTuple tuple;
  std::string user, password = "wonderland", nonce;
  bool sha256 = false;
  std::optional<stun::TransactionId> transaction;  ///< of the next request; unset: a new one each time

 private:
  ByteView build(std::uint16_t method, const Fill& fill, bool credentials);
  World& world_;
  ByteArray<4096> buffer_{};
};

class World {
 public:
  explicit World(Server::Options options = {}) : server(std::move(options), users, output, random) {}
  void pass(std::chrono::nanoseconds time) {
    now.monotonic += time;
    now.wall += time;
    while (const auto due = server.poll_timeout()) {
      if (*due > now.monotonic) break;
      server.handle_timeout(now);
    }
  }
  void from_peer(RelayId relay, const Endpoint& peer, std::string_view data) {
    server.on_peer(now, relay, peer, as_bytes(data));
  }

  Now now{Instant(std::chrono::hours(1)), WallTime(std::chrono::hours(24 * 365 * 50))};
  SeededRandom random{1};
  Users users;
  RecordingOutput output;
  Server server;
};

inline TestClient::TestClient(World& world, Endpoint local, Transport transport, std::string name)
    : tuple{transport, local, endpoint("198.51.100.9:3478")}, user(std::move(name)), world_(world) {
  const auto known = world.users.passwords.find(user);
  if (known != world.users.passwords.end()) password = known->second;
}

inline ByteView TestClient::build(std::uint16_t method, const Fill& fill, bool credentials) {
  using enum stun::AttributeType;
  const auto id = transaction.value_or(world_.random.array<12>());
  stun::MessageBuilder builder(buffer_, stun::MessageClass::kRequest, method, id);
  if (fill) fill(builder);
  if (credentials) {
    builder.add_text(kUsername, user).add_text(kRealm, "higgs").add_text(kNonce, nonce);
    const auto key = stun::IntegrityKey::long_term_md5(user, "higgs", password);
    if (sha256) {
      builder.add_message_integrity_sha256(key);
    } else {
      builder.add_message_integrity(key);
    }
  }
  return builder.finish();
}

inline std::optional<Answer> TestClient::exchange(ByteView bytes) {
  world_.output.sent.clear();
  if (!world_.server.on_client(world_.now, tuple, bytes) || world_.output.sent.empty()) return std::nullopt;
  Answer answer;
  answer.bytes = world_.output.sent.front().second;
  answer.message = stun::parse(answer.bytes).value();
  answer.error = stun::error_code(answer.message).value_or(0);
  if (const auto fresh = answer.message.text(stun::AttributeType::kNonce)) nonce = *fresh;
  return answer;
}

inline std::optional<Answer> TestClient::bare(std::uint16_t method, const Fill& fill) {
  return exchange(build(method, fill, false));
}

inline std::optional<Answer> TestClient::request(std::uint16_t method, const Fill& fill) {
  if (nonce.empty()) {
    const auto kept = transaction;
    transaction.reset();
    bare(method, fill);
    transaction = kept;
  }
  return exchange(build(method, fill, true));
}

inline std::optional<Answer> TestClient::allocate(const Fill& more) {
  return request(stun::kAllocateMethod, [&](stun::MessageBuilder& builder) {
    builder.add_u32(stun::AttributeType::kRequestedTransport, 17u << 24);
    if (more) more(builder);
  });
}

inline std::optional<Answer> TestClient::permit(const Endpoint& peer) {
  return request(stun::kCreatePermissionMethod, [&](stun::MessageBuilder& builder) {
    builder.add_xor_address(stun::AttributeType::kXorPeerAddress, peer);
  });
}

inline std::optional<Answer> TestClient::bind(std::uint16_t channel, const Endpoint& peer) {
  return request(stun::kChannelBindMethod, [&](stun::MessageBuilder& builder) {
    builder.add_u32(stun::AttributeType::kChannelNumber, std::uint32_t{channel} << 16)
        .add_xor_address(stun::AttributeType::kXorPeerAddress, peer);
  });
}

inline void TestClient::send(const Endpoint& peer, std::string_view data, bool dont_fragment) {
  stun::MessageBuilder builder(buffer_, stun::MessageClass::kIndication, stun::kSendMethod, world_.random.array<12>());
  builder.add_xor_address(stun::AttributeType::kXorPeerAddress, peer);
  if (dont_fragment) builder.add(stun::AttributeType::kDontFragment, {});
  builder.add_text(stun::AttributeType::kData, data);
  world_.server.on_client(world_.now, tuple, builder.finish());
}

inline void TestClient::send_channel(std::uint16_t channel, std::string_view data) {
  ByteWriter message;
  message.be(channel);
  message.be(static_cast<std::uint16_t>(data.size()));
  message.bytes(as_bytes(data));
  world_.server.on_client(world_.now, tuple, message.view());
}

}  // namespace higgs::turn::testing
