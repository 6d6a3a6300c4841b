#include "bosonserver/server/relay_gate.h"

#include "base/number.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/call.h"
#include "bosonserver/api/endpoint.h"
#include "bosonserver/api/rate_limit.h"
#include "bosonserver/api/tokens.h"
#include "bosonserver/cluster/cascade_dialer.h"

namespace higgs::boson {
namespace {

/// RFC 6455, 4.2.1: a list of what the client would speak.
bool offers_subprotocol(const net::HttpRequest& request, std::string_view wanted) {
  auto list = request.headers.get("Sec-WebSocket-Protocol").value_or("");
  while (!list.empty()) {
    auto item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    while (item.starts_with(' ') || item.starts_with('\t')) item.remove_prefix(1);
    while (item.ends_with(' ') || item.ends_with('\t')) item.remove_suffix(1);
    if (item == wanted) return true;
  }
  return false;
}

net::HttpResponse unknown_subprotocol(std::string_view wanted) {
  return problem_answer(400, "unknown-subprotocol", "The sub-protocol " + std::string(wanted) + " is needed");
}

net::HttpResponse ended() {
  return problem_answer(403, "session-ended", "The session has ended", "ask for a new route");
}

RelayGrant grant_node(Services& services, NodeId id, const jwt::Claims& claims, Now now) {
  const auto node = services.grace.node(id, now);
  if (!node && node.error() == StoreError::kNotFound) return forbidden("the node is not registered (any more)");
  if (!node) return store_failure(node.error(), "node");
  if (node->value.admission == NodeAdmission::kBanned) return problem_answer(403, "banned", "This node is banned");
  if (node->value.admission == NodeAdmission::kPending)
    return problem_answer(403, "pending", "This node has not been approved yet");
  if (node->remembered) services.grace.count_link();
  return NodeLinkGrant{id, claims.issued_at};
}

RelayGrant grant_client(Services& services, RelayMeter& meter, SessionId id, const jwt::Claims& claims, Now now,
                        std::optional<double> session_rate_mbps) {
  const auto known = services.grace.session(id, now);
  if (!known && known.error() == StoreError::kNotFound) return ended();
  if (!known) return store_failure(known.error(), "session");
  const auto* session = &known->value;
  // Another server may have renewed it without the store: its token says until when.
  const auto expires_at = known->remembered ? std::max(session->expires_at, claims.expires_at) : session->expires_at;
  if (session->ended_at || expires_at <= unix_seconds(now.wall)) return ended();
  if (known->remembered) services.grace.count_link();
  const auto full = [](const IpAddress& address) { return *IpPrefix::make(address, address.bit_length()); };
  ClientLinkGrant grant;
  grant.token_iat = claims.issued_at;
  grant.ticket.session = id;
  grant.ticket.node = session->node;
  grant.ticket.wireguard_public_key = session->wireguard_key;
  grant.ticket.addresses.push_back(full(session->address4));
  if (session->address6) grant.ticket.addresses.push_back(full(*session->address6));
  grant.ticket.rate_limit_mbps = session_rate_mbps;
  grant.ticket.user_rate = meter.join(id, session->user);
  grant.ticket.expires_at = from_unix_seconds(expires_at);
  return grant;
}

std::optional<unsigned> number_of(const Call& call, std::string_view name) {
  const auto text = call.query(name);
  return text ? parse_number<unsigned>(*text) : std::nullopt;
}

/// `worker` is ours, `from` the other's.
RelayGrant grant_server(const Call& call, ServerId peer, const jwt::Claims& claims) {
  if (claims.role != kServerRole) return forbidden("the token is not a server's");
  // A server that was given a token for itself must not get anywhere with it.
  if (claims.family != to_string(call.services.server_id)) return forbidden("the token is for another server");
  const auto worker = number_of(call, "worker"), from = number_of(call, "from");
  if (!worker || !from) return bad_query("worker and from are numbers of workers");
  return ServerLinkGrant{{peer, relay::ServerLinkDirection::kIncoming, *from, claims.issued_at}, *worker};
}

RelayGrant grant_peer(Call& call, RelayMeter& meter, const jwt::Claims& claims,
                      std::optional<double> session_rate_mbps) {
  if (claims.role == kNodeRole) {
    const auto node = parse_id<NodeId>(claims.subject);
    return node ? grant_node(call.services, *node, claims, call.now) : RelayGrant(forbidden("the token names no node"));
  }
  if (claims.role != kClientRole) return forbidden("the token is neither a node's nor a client's");
  const auto session = parse_id<SessionId>(claims.subject);
  return session ? grant_client(call.services, meter, *session, claims, call.now, session_rate_mbps)
                 : RelayGrant(forbidden("the token names no session"));
}

}  // namespace

RelayGrant authorise_relay_link(Services& services, RelayMeter& meter, const net::HttpRequest& request,
                                std::optional<double> session_rate_mbps) {
  auto match = match_endpoint("GET", request.path);
  const auto access = match.endpoint ? match.endpoint->access : Access::kPublic;
  const bool cascade = access == Access::kServer;
  if (!cascade && access != Access::kRelay) return not_found("WebSocket");
  Call call{request, services, services.clock(), std::move(match.parameters)};
  if (const auto rate = count_address(call, match.endpoint->rate); rate && rate->exceeded)
    return too_many_requests(services, *rate);
  const auto header = request.headers.get("Authorization");
  const auto token = header ? jwt::bearer_token(*header) : std::nullopt;
  if (!token) return unauthorized("the Authorization header has no bearer token");
  const auto claims =
      verify_token(services, *token, cascade ? jwt::Audience::kServer : jwt::Audience::kRelay, call.now);
  if (!claims) return unauthorized(claims.error().message());
  if (claims->subject != call.parameters.front()) return forbidden("the token is for another link");
  if (const auto rate = count_link(services, claims->subject); rate.exceeded) return too_many_requests(services, rate);
  const auto wanted = cascade ? relay::kCascadeSubprotocol : kRelaySubprotocol;
  if (!offers_subprotocol(request, wanted)) return unknown_subprotocol(wanted);
  if (!cascade) return grant_peer(call, meter, *claims, session_rate_mbps);
  const auto peer = parse_id<ServerId>(claims->subject);
  return peer ? grant_server(call, *peer, *claims) : RelayGrant(forbidden("the token names no server"));
}

}  // namespace higgs::boson
