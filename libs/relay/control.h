// The text messages of higgs-relay.1 and higgs-cascade.1 (proto/relay.md): control between servers, node and client, as
// values, and their JSON. Parsing is pure, bounded by kMaxTextBytes, and never throws; an action this version does not
// know is a value of its own and to be ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "base/uuid.h"
#include "crypto/x25519.h"
#include "relay/frame.h"
#include "trace/context.h"

namespace higgs::relay {

enum class ControlError {
  kTooLong = 1,   ///< over kMaxTextBytes
  kNotJson,       ///< not a JSON object
  kBadEnvelope,   ///< type, sessionId, direction or payload missing or of another kind
  kMissingField,  ///< a field that the action needs is missing
  kBadField,      ///< a field of a known action has a wrong type or value
};

enum class Direction { kToNode, kToClient, kToServer };
enum class RefusalReason { kKeyInUse, kAddressInUse, kFull, kDraining, kPolicy, kTooManyHops };
enum class CloseReason {
  kEnded,
  kClientGone,
  kNodeGone,
  kExpired,
  kBanned,
  kRefused,
  kMoved,  ///< between servers: the session goes on by another way
};
std::string_view to_string(Direction direction) noexcept;
std::string_view to_string(RefusalReason reason) noexcept;
std::string_view to_string(CloseReason reason) noexcept;

inline constexpr std::size_t kMaxAddresses = 16;  ///< of one session-open
inline constexpr std::size_t kMaxServers = 64;    ///< of one drain
inline constexpr unsigned kMaxHops = 2;
/// The greatest time of a control message, in Unix seconds: what nanoseconds in 64 bits still hold.
inline constexpr std::int64_t kMaxUnixSeconds = 9'000'000'000;

/// What another server needs besides to serve a session of our client's; only on a link between servers.
struct CascadedSession {
  NodeId node;
  std::int64_t issued_at = 0;   ///< `iat` of the client's token, Unix seconds: whose claim to the session is newer
  std::int64_t expires_at = 0;  ///< Unix seconds
  bool new_link = false;        ///< the client's link has just come up, rather than being opened again
};
/// Server → node or server: add this peer. Channels are of the link that it is sent on.
struct SessionOpen {
  Channel channel = 0;
  crypto::PublicKey wireguard_public_key;
  std::vector<IpPrefix> addresses;  ///< the client's tunnel addresses
  std::optional<double> rate_limit_mbps;
  unsigned hops = 0;  ///< links between servers on the way
  std::optional<CascadedSession> cascade;
  std::optional<trace::SpanContext> trace;  ///< whose part this is, where somebody traces it
};
/// Node → server → client. `fresh`: the node did not have this session's peer before; the client starts a handshake.
struct SessionReady {
  std::optional<Channel> channel;  ///< unset towards the client
  bool fresh = false;
};
struct SessionRefused {
  std::optional<Channel> channel;
  RefusalReason reason = RefusalReason::kPolicy;
};
struct SessionClose {
  std::optional<Channel> channel;
  CloseReason reason = CloseReason::kEnded;
};
/// Server → server: the session's token was renewed.
struct SessionRenew {
  Channel channel = 0;
  std::int64_t expires_at = 0;  ///< Unix seconds
};
/// Server → any. `code` is for programs (kNodeOffline), `detail` for people.
struct ErrorNotice {
  std::string code, detail;
};
inline constexpr std::string_view kNodeOffline = "node-offline";
/// Server → client and node: the session is over its rate and lost this many packets since the last notice.
struct Throttle {
  double rate_mbps = 0;
  std::uint64_t dropped_packets = 0;
};
/// Server → client and node: what the server's queue towards either end dropped since the last report.
struct QueueReport {
  std::optional<Channel> channel;
  std::uint32_t delay_ms = 0;
  std::uint64_t dropped_packets = 0;
};
/// Server → any: move to another server before the deadline.
struct Drain {
  std::uint32_t deadline_seconds = 0;
  std::vector<std::string> servers;
};
/// ice-description, candidate, candidates-end, path-changed: between the two ends, passed on unread.
struct PeerMessage {
  std::string action;
  std::string payload_json;  ///< the whole payload object, "action" included
};
struct UnknownAction {
  std::string action;
};

using ControlPayload = std::variant<SessionOpen, SessionReady, SessionRefused, SessionClose, SessionRenew, ErrorNotice,
                                    Throttle, QueueReport, Drain, PeerMessage, UnknownAction>;

struct ControlMessage {
  std::optional<SessionId> session;  ///< unset (null) where the message is about the whole link: drain, error
  Direction direction = Direction::kToServer;
  ControlPayload payload;
};

Result<ControlMessage> parse_control(std::string_view text) noexcept;
/// UnknownAction encodes as its bare action; a PeerMessage's payload must be a JSON object.
std::string encode_control(const ControlMessage& message);

}  // namespace higgs::relay

HIGGS_ERROR_ENUM(higgs::relay, ControlError)
