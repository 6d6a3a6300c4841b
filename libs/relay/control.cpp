#include "relay/control.h"

#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "relay/control_reader.h"

namespace higgs::relay {

namespace {

using nlohmann::json;

template <class Enum>
using Names = std::span<const std::pair<Enum, std::string_view>>;

constexpr std::array<std::pair<Direction, std::string_view>, 3> kDirections{
    {{Direction::kToNode, "to-node"}, {Direction::kToClient, "to-client"}, {Direction::kToServer, "to-server"}}};
constexpr std::array<std::pair<RefusalReason, std::string_view>, 6> kRefusals{
    {{RefusalReason::kKeyInUse, "key-in-use"},
     {RefusalReason::kAddressInUse, "address-in-use"},
     {RefusalReason::kFull, "full"},
     {RefusalReason::kDraining, "draining"},
     {RefusalReason::kPolicy, "policy"},
     {RefusalReason::kTooManyHops, "too-many-hops"}}};
constexpr std::array<std::pair<CloseReason, std::string_view>, 7> kCloses{{{CloseReason::kEnded, "ended"},
                                                                           {CloseReason::kClientGone, "client-gone"},
                                                                           {CloseReason::kNodeGone, "node-gone"},
                                                                           {CloseReason::kExpired, "expired"},
                                                                           {CloseReason::kBanned, "banned"},
                                                                           {CloseReason::kRefused, "refused"},
                                                                           {CloseReason::kMoved, "moved"}}};

template <class Enum>
std::string_view name_of(Enum value, Names<Enum> names) noexcept {
  for (const auto& [candidate, name] : names)
    if (candidate == value) return name;
  return "";
}

Result<ControlPayload> read_open(ControlReader& in) {
  SessionOpen out;
  out.channel = in.required_channel("channel");
  const auto key = crypto::PublicKey::from_base64(in.text("wireguardPublicKey"));
  if (!key)
    in.fail();
  else
    out.wireguard_public_key = *key;
  for (const auto& text : in.texts("addresses", kMaxAddresses)) {
    const auto prefix = IpPrefix::parse(text);
    if (!prefix)
      in.fail();
    else
      out.addresses.push_back(*prefix);
  }
  out.rate_limit_mbps = in.optional_number("rateLimitMbps");
  out.hops = static_cast<unsigned>(in.integer("hops", kMaxHops));
  if (in.has("nodeId")) {
    const auto node = parse_id<NodeId>(in.text("nodeId"));
    if (!node) in.fail();
    out.cascade = CascadedSession{node.value_or(NodeId{}), in.unix_seconds("issuedAt"), in.unix_seconds("expiresAt"),
                                  in.boolean("newLink")};
  }
  out.trace = trace::parse_traceparent(in.text_if_any("traceparent"));
  return in.finish(std::move(out));
}

Result<ControlPayload> read_ready(ControlReader& in) {
  SessionReady out;
  out.channel = in.channel("channel");
  out.fresh = in.boolean("fresh");
  return in.finish(out);
}

Result<ControlPayload> read_refused(ControlReader& in) {
  SessionRefused out;
  out.channel = in.channel("channel");
  out.reason = in.one_of<RefusalReason>("reason", kRefusals);
  return in.finish(out);
}

Result<ControlPayload> read_close(ControlReader& in) {
  SessionClose out;
  out.channel = in.channel("channel");
  out.reason = in.one_of<CloseReason>("reason", kCloses);
  return in.finish(out);
}

Result<ControlPayload> read_renew(ControlReader& in) {
  SessionRenew out;
  out.channel = in.required_channel("channel");
  out.expires_at = in.unix_seconds("expiresAt");
  return in.finish(out);
}

Result<ControlPayload> read_error(ControlReader& in) {
  ErrorNotice out{in.text("code"), in.text("detail")};
  return in.finish(std::move(out));
}

Result<ControlPayload> read_throttle(ControlReader& in) {
  Throttle out{in.number("rateMbps"), in.integer("droppedPackets", kMaxCount)};
  return in.finish(out);
}

Result<ControlPayload> read_queue_report(ControlReader& in) {
  QueueReport out;
  out.channel = in.channel("channel");
  out.delay_ms = static_cast<std::uint32_t>(in.integer("delayMs", std::numeric_limits<std::uint32_t>::max()));
  out.dropped_packets = in.integer("droppedPackets", kMaxCount);
  return in.finish(out);
}

Result<ControlPayload> read_drain(ControlReader& in) {
  Drain out;
  out.deadline_seconds =
      static_cast<std::uint32_t>(in.integer("deadlineSeconds", std::numeric_limits<std::uint32_t>::max()));
  out.servers = in.texts("servers", kMaxServers);
  return in.finish(std::move(out));
}

bool is_peer_action(std::string_view action) noexcept {
  return action == "ice-description" || action == "candidate" || action == "candidates-end" || action == "path-changed";
}

Result<ControlPayload> read_payload(const std::string& action, const json& payload) {
  ControlReader in(payload);
  if (action == "session-open") return read_open(in);
  if (action == "session-ready") return read_ready(in);
  if (action == "session-refused") return read_refused(in);
  if (action == "session-close") return read_close(in);
  if (action == "session-renew") return read_renew(in);
  if (action == "error") return read_error(in);
  if (action == "throttle") return read_throttle(in);
  if (action == "queue-report") return read_queue_report(in);
  if (action == "drain") return read_drain(in);
  if (is_peer_action(action)) return ControlPayload(PeerMessage{action, payload.dump()});
  return ControlPayload(UnknownAction{action});
}

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

void put_channel(json& out, const std::optional<Channel>& channel) {
  if (channel) out["channel"] = *channel;
}

struct PayloadWriter {
  json operator()(const SessionOpen& open) const {
    json addresses = json::array();
    for (const auto& address : open.addresses) addresses.push_back(address.to_string());
    json out{{"action", "session-open"},
             {"channel", open.channel},
             {"wireguardPublicKey", open.wireguard_public_key.to_base64()},
             {"addresses", std::move(addresses)},
             {"rateLimitMbps", nullptr},
             {"hops", open.hops}};
    if (open.rate_limit_mbps) out["rateLimitMbps"] = *open.rate_limit_mbps;
    if (open.cascade) {
      out["nodeId"] = to_string(open.cascade->node);
      out["issuedAt"] = open.cascade->issued_at;
      out["expiresAt"] = open.cascade->expires_at;
      out["newLink"] = open.cascade->new_link;
    }
    if (open.trace) out["traceparent"] = trace::to_traceparent(*open.trace);
    return out;
  }
  json operator()(const SessionReady& ready) const {
    json out{{"action", "session-ready"}, {"fresh", ready.fresh}};
    put_channel(out, ready.channel);
    return out;
  }
  json operator()(const SessionRefused& refused) const {
    json out{{"action", "session-refused"}, {"reason", to_string(refused.reason)}};
    put_channel(out, refused.channel);
    return out;
  }
  json operator()(const SessionClose& close) const {
    json out{{"action", "session-close"}, {"reason", to_string(close.reason)}};
    put_channel(out, close.channel);
    return out;
  }
  json operator()(const SessionRenew& renew) const {
    return {{"action", "session-renew"}, {"channel", renew.channel}, {"expiresAt", renew.expires_at}};
  }
  json operator()(const ErrorNotice& error) const {
    return {{"action", "error"}, {"code", error.code}, {"detail", error.detail}};
  }
  json operator()(const Throttle& throttle) const {
    return {{"action", "throttle"}, {"rateMbps", throttle.rate_mbps}, {"droppedPackets", throttle.dropped_packets}};
  }
  json operator()(const QueueReport& report) const {
    json out{{"action", "queue-report"}, {"delayMs", report.delay_ms}, {"droppedPackets", report.dropped_packets}};
    put_channel(out, report.channel);
    return out;
  }
  json operator()(const Drain& drain) const {
    return {{"action", "drain"}, {"deadlineSeconds", drain.deadline_seconds}, {"servers", drain.servers}};
  }
  json operator()(const PeerMessage& message) const {
    json out = json::parse(message.payload_json, nullptr, false);
    if (!out.is_object()) out = json::object();
    out["action"] = message.action;
    return out;
  }
  json operator()(const UnknownAction& unknown) const { return {{"action", unknown.action}}; }
};

Result<ControlMessage> read_message(const json& document) {
  if (!document.is_object()) return ControlError::kNotJson;
  const auto type = document.find("type"), direction = document.find("direction"), payload = document.find("payload");
  if (type == document.end() || !type->is_string()) return ControlError::kBadEnvelope;
  if (payload == document.end() || !payload->is_object()) return ControlError::kBadEnvelope;
  if (direction == document.end() || !direction->is_string()) return ControlError::kBadEnvelope;

  ControlMessage message;
  bool known_direction = false;
  for (const auto& [value, name] : kDirections) {
    if (direction->get_ref<const std::string&>() != name) continue;
    message.direction = value;
    known_direction = true;
  }
  if (!known_direction) return ControlError::kBadEnvelope;
  if (const auto session = document.find("sessionId"); session != document.end() && !session->is_null()) {
    if (!session->is_string()) return ControlError::kBadEnvelope;
    message.session = parse_id<SessionId>(session->get_ref<const std::string&>());
    if (!message.session) return ControlError::kBadEnvelope;
  }
  const auto action = payload->find("action");
  if (type->get_ref<const std::string&>() != "control") {
    message.payload = UnknownAction{"type " + type->get<std::string>()};
    return message;
  }
  if (action == payload->end()) return ControlError::kMissingField;
  if (!action->is_string()) return ControlError::kBadField;
  auto read = read_payload(action->get_ref<const std::string&>(), *payload);
  if (!read) return read.error();
  message.payload = std::move(*read);
  return message;
}

}  // namespace

std::string_view to_string(Direction direction) noexcept { return name_of<Direction>(direction, kDirections); }
std::string_view to_string(RefusalReason reason) noexcept { return name_of<RefusalReason>(reason, kRefusals); }
std::string_view to_string(CloseReason reason) noexcept { return name_of<CloseReason>(reason, kCloses); }

Result<ControlMessage> parse_control(std::string_view text) noexcept {
  if (text.size() > kMaxTextBytes) return ControlError::kTooLong;
  const json document = json::parse(text.begin(), text.end(), nullptr, false);
  if (document.is_discarded()) return ControlError::kNotJson;
  return read_message(document);
}

std::string encode_control(const ControlMessage& message) {
  json document{{"type", "control"},
                {"sessionId", nullptr},
                {"direction", to_string(message.direction)},
                {"payload", std::visit(PayloadWriter{}, message.payload)}};
  if (message.session) document["sessionId"] = to_string(*message.session);
  return dump(document);
}

}  // namespace higgs::relay

HIGGS_ERROR_CATEGORY(higgs::relay, ControlError, "relay.control") {
  switch (error) {
    case higgs::relay::ControlError::kTooLong:
      return "the control message is too long";
    case higgs::relay::ControlError::kNotJson:
      return "the control message is not a JSON object";
    case higgs::relay::ControlError::kBadEnvelope:
      return "type, sessionId, direction or payload is missing or bad";
    case higgs::relay::ControlError::kMissingField:
      return "a field that the action needs is missing";
    case higgs::relay::ControlError::kBadField:
      return "a field has a wrong type or value";
  }
  return "unknown error";
}
