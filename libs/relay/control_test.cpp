#include "relay/control.h"

#include <gtest/gtest.h>

namespace higgs::relay {
namespace {

const SessionId kSession = *parse_id<SessionId>("0a1b2c3d-0000-4000-8000-00000000abcd");

std::string control(std::string_view payload) {
  return R"({"type":"control","sessionId":"0a1b2c3d-0000-4000-8000-00000000abcd","direction":"to-node","payload":)" +
         std::string(payload) + "}";
}

ControlError error_of(std::string_view text) {
  const auto message = parse_control(text);
  EXPECT_TRUE(message.has_error()) << text;
  return message ? ControlError{} : static_cast<ControlError>(message.error().value());
}

template <class Payload>
Payload round_trip(const Payload& payload) {
  const auto message = parse_control(encode_control({kSession, Direction::kToClient, payload}));
  EXPECT_TRUE(message) << message.error().message();
  EXPECT_EQ(message->session, kSession);
  EXPECT_EQ(message->direction, Direction::kToClient);
  EXPECT_TRUE(std::holds_alternative<Payload>(message->payload));
  return std::get<Payload>(message->payload);
}

TEST(Control, SessionOpenIsReadBack) {
  SessionOpen open;
  open.channel = 4000000000;
  open.wireguard_public_key.bytes.fill(std::byte{0x5a});
  open.addresses = {*IpPrefix::parse("10.9.0.2/32"), *IpPrefix::parse("fd00::2/128")};
  open.rate_limit_mbps = 12.5;
  open.hops = 2;
  const auto read = round_trip(open);
  EXPECT_EQ(read.channel, open.channel);
  EXPECT_EQ(read.wireguard_public_key, open.wireguard_public_key);
  EXPECT_EQ(read.addresses, open.addresses);
  EXPECT_EQ(read.rate_limit_mbps, open.rate_limit_mbps);
  EXPECT_EQ(read.hops, 2u);
  open.rate_limit_mbps.reset();
  EXPECT_FALSE(round_trip(open).rate_limit_mbps);
}

TEST(Control, ATraceGoesWithSessionOpenAndNeverSpoilsIt) {
  SessionOpen open;
  open.channel = 1;
  EXPECT_FALSE(round_trip(open).trace);
  EXPECT_EQ(encode_control({kSession, Direction::kToNode, open}).find("traceparent"), std::string::npos);
  open.trace = trace::parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  EXPECT_EQ(round_trip(open).trace, open.trace);
  for (const auto* bad : {"7", "null", "[]", "\"\"", "\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7\""}) {
    auto text = encode_control({kSession, Direction::kToNode, open});
    const auto value = "\"" + trace::to_traceparent(*open.trace) + "\"";
    text.replace(text.find(value), value.size(), bad);
    const auto read = parse_control(text);
    ASSERT_TRUE(read) << text;
    EXPECT_FALSE(std::get<SessionOpen>(read->payload).trace) << text;
  }
}

TEST(Control, SessionOpenBetweenServersIsReadBack) {
  SessionOpen open;
  open.channel = 1;
  open.hops = 1;
  EXPECT_FALSE(round_trip(open).cascade);
  open.cascade =
      CascadedSession{*parse_id<NodeId>("0a1b2c3d-0000-8000-8000-00000000ffff"), 1'800'000'000, kMaxUnixSeconds, true};
  const auto read = round_trip(open).cascade;
  ASSERT_TRUE(read);
  EXPECT_EQ(read->node, open.cascade->node);
  EXPECT_EQ(read->issued_at, 1'800'000'000);
  EXPECT_EQ(read->expires_at, kMaxUnixSeconds);
  EXPECT_TRUE(read->new_link);
  EXPECT_EQ(round_trip(SessionRenew{9, 1'800'000'000}).expires_at, 1'800'000'000);

  const std::string start = R"({"action":"session-open","channel":1,"wireguardPublicKey":")" +
                            crypto::PublicKey{}.to_base64() + R"(","addresses":[],"rateLimitMbps":null,"hops":)";
  const std::string node = R"(,"nodeId":"0a1b2c3d-0000-8000-8000-00000000ffff")";
  EXPECT_EQ(error_of(control(start + "3}")), ControlError::kBadField);
  EXPECT_EQ(error_of(control(start + "1" + node + "}")), ControlError::kMissingField);
  EXPECT_EQ(error_of(control(start + R"(1,"nodeId":7})")), ControlError::kBadField);
  EXPECT_EQ(error_of(control(start + "1" + node + R"(,"issuedAt":-1,"expiresAt":1,"newLink":true})")),
            ControlError::kBadField);
  EXPECT_EQ(error_of(control(start + "1" + node + R"(,"issuedAt":1,"expiresAt":9000000001,"newLink":true})")),
            ControlError::kBadField);
  EXPECT_EQ(error_of(control(R"({"action":"session-renew","expiresAt":1})")), ControlError::kMissingField);
}

TEST(Control, TheOthersAreReadBack) {
  EXPECT_TRUE(round_trip(SessionReady{7, true}).fresh);
  EXPECT_FALSE(round_trip(SessionReady{std::nullopt, false}).channel);
  EXPECT_EQ(round_trip(SessionRefused{7, RefusalReason::kAddressInUse}).reason, RefusalReason::kAddressInUse);
  EXPECT_EQ(round_trip(SessionClose{std::nullopt, CloseReason::kExpired}).reason, CloseReason::kExpired);
  EXPECT_EQ(round_trip(ErrorNotice{"node-offline", "x"}).code, kNodeOffline);
  EXPECT_EQ(round_trip(Throttle{10, 99}).dropped_packets, 99u);
  EXPECT_EQ(round_trip(QueueReport{3, 250, 7}).delay_ms, 250u);
  EXPECT_EQ(round_trip(Drain{30, {"https://a", "https://b"}}).servers.size(), 2u);
}

TEST(Control, PeerMessagesAreKeptWhole) {
  const auto message = parse_control(control(R"({"action":"candidate","candidate":{"ip":"192.0.2.1"}})"));
  ASSERT_TRUE(message);
  const auto& peer = std::get<PeerMessage>(message->payload);
  EXPECT_EQ(peer.action, "candidate");
  EXPECT_NE(peer.payload_json.find("192.0.2.1"), std::string::npos);
  EXPECT_EQ(round_trip(peer).payload_json, peer.payload_json);
}

TEST(Control, LinkWideMessagesHaveNoSession) {
  const auto message = parse_control(encode_control({std::nullopt, Direction::kToNode, Drain{5, {}}}));
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->session);
}

TEST(Control, UnknownActionAndTypeAreValuesToIgnore) {
  const auto action = parse_control(control(R"({"action":"teleport","where":1})"));
  ASSERT_TRUE(action);
  EXPECT_EQ(std::get<UnknownAction>(action->payload).action, "teleport");
  const auto type = parse_control(R"({"type":"heartbeat","direction":"to-server","payload":{}})");
  ASSERT_TRUE(type);
  EXPECT_TRUE(std::holds_alternative<UnknownAction>(type->payload));
}

TEST(Control, BadInputIsAnError) {
  EXPECT_EQ(error_of(""), ControlError::kNotJson);
  EXPECT_EQ(error_of("[]"), ControlError::kNotJson);
  EXPECT_EQ(error_of("{\"type\":\"control\""), ControlError::kNotJson);
  EXPECT_EQ(error_of("{\"type\":\"\xff\"}"), ControlError::kNotJson);
  EXPECT_EQ(error_of("{}"), ControlError::kBadEnvelope);
  EXPECT_EQ(error_of(R"({"type":"control","direction":"up","payload":{}})"), ControlError::kBadEnvelope);
  EXPECT_EQ(error_of(R"({"type":"control","sessionId":"x","direction":"to-node","payload":{}})"),
            ControlError::kBadEnvelope);
  EXPECT_EQ(error_of(control("{}")), ControlError::kMissingField);
  EXPECT_EQ(error_of(control(R"({"action":7})")), ControlError::kBadField);
  EXPECT_EQ(error_of(control(R"({"action":"session-ready"})")), ControlError::kMissingField);
  EXPECT_EQ(error_of(control(R"({"action":"session-ready","fresh":1})")), ControlError::kBadField);
  EXPECT_EQ(error_of(control(R"({"action":"session-ready","fresh":true,"channel":0})")), ControlError::kBadField);
  EXPECT_EQ(error_of(control(R"({"action":"session-ready","fresh":true,"channel":4294967296})")),
            ControlError::kBadField);
  EXPECT_EQ(error_of(control(R"({"action":"session-close","reason":"because"})")), ControlError::kBadField);
  EXPECT_EQ(error_of(control(R"({"action":"throttle","rateMbps":-1,"droppedPackets":1})")), ControlError::kBadField);
  EXPECT_EQ(error_of(control(R"({"action":"session-open","channel":1,"wireguardPublicKey":"AAAA","addresses":[],)"
                             R"("rateLimitMbps":null,"hops":0})")),
            ControlError::kBadField);
  EXPECT_EQ(error_of(std::string(kMaxTextBytes + 1, ' ')), ControlError::kTooLong);
  // Nested as deep as the size limit allows: neither the parser nor the destructor may recurse.
  EXPECT_EQ(error_of(std::string(kMaxTextBytes / 2, '[') + std::string(kMaxTextBytes / 2, ']')),
            ControlError::kNotJson);
}

}  // namespace
}  // namespace higgs::relay
