#include "bosonserver/server/relay_gate.h"

#include "bosonserver/api/answers.h"
#include "bosonserver/api/call.h"
#include "bosonserver/api/endpoint.h"
#include "bosonserver/api/rate_limit.h"
#include "bosonserver/api/tokens.h"

namespace higgs::boson {
namespace {

/// RFC 6455, 4.2.1: a list of what the client would speak.
bool offers_subprotocol(const net::HttpRequest& request) {
  auto list = request.headers.get("Sec-WebSocket-Protocol").value_or("");
  while (!list.empty()) {
    auto item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    while (item.starts_with(' ') || item.starts_with('\t')) item.remove_prefix(1);
    while (item.ends_with(' ') || item.ends_with('\t')) item.remove_suffix(1);
    if (item == kRelaySubprotocol) return true;
  }
  return false;
}

net::HttpResponse ended() {
  return problem_answer(403, "session-ended", "The session has ended", "ask for a new route");
}

RelayGrant grant_node(Services& services, NodeId id, const jwt::Claims& claims) {
  const auto node = services.store.node(id);
  if (!node && node.error() == StoreError::kNotFound) return forbidden("the node is not registered (any more)");
  if (!node) return store_failure(node.error(), "node");
  if (node->admission == NodeAdmission::kBanned) return problem_answer(403, "banned", "This node is banned");
  if (node->admission == NodeAdmission::kPending)
    return problem_answer(403, "pending", "This node has not been approved yet");
  return NodeLinkGrant{id, claims.issued_at};
}

RelayGrant grant_client(Services& services, SessionId id, const jwt::Claims& claims, Now now,
                        std::optional<double> session_rate_mbps) {
  const auto session = services.store.session(id);
  if (!session && session.error() == StoreError::kNotFound) return ended();
  if (!session) return store_failure(session.error(), "session");
  if (session->ended_at || session->expires_at <= unix_seconds(now.wall)) return ended();
  const auto full = [](const IpAddress& address) { return *IpPrefix::make(address, address.bit_length()); };
  ClientLinkGrant grant;
  grant.token_iat = claims.issued_at;
  grant.ticket.session = id;
  grant.ticket.node = session->node;
  grant.ticket.wireguard_public_key = session->wireguard_key;
  grant.ticket.addresses.push_back(full(session->address4));
  if (session->address6) grant.ticket.addresses.push_back(full(*session->address6));
  grant.ticket.rate_limit_mbps = session_rate_mbps;
  grant.ticket.expires_at = from_unix_seconds(session->expires_at);
  return grant;
}

}  // namespace

RelayGrant authorise_relay_link(Services& services, const net::HttpRequest& request,
                                std::optional<double> session_rate_mbps) {
  auto match = match_endpoint("GET", request.path);
  if (!match.endpoint || match.endpoint->access != Access::kRelay) return not_found("WebSocket");
  Call call{request, services, services.clock(), std::move(match.parameters)};
  if (const auto rate = count_call(call, match.endpoint->rate); rate && rate->exceeded)
    return later(429, "too-many-requests", "Too many requests", rate->reset_seconds);
  const auto header = request.headers.get("Authorization");
  const auto token = header ? jwt::bearer_token(*header) : std::nullopt;
  if (!token) return unauthorized("the Authorization header has no bearer token");
  const auto claims = verify_token(services, *token, jwt::Audience::kRelay, call.now);
  if (!claims) return unauthorized(claims.error().message());
  if (claims->subject != call.parameters.front()) return forbidden("the token is for another link");
  if (!offers_subprotocol(request))
    return problem_answer(400, "unknown-subprotocol", "The sub-protocol higgs-relay.1 is needed");
  if (claims->role == kNodeRole) {
    const auto node = parse_id<NodeId>(claims->subject);
    return node ? grant_node(services, *node, *claims) : RelayGrant(forbidden("the token names no node"));
  }
  if (claims->role != kClientRole) return forbidden("the token is neither a node's nor a client's");
  const auto session = parse_id<SessionId>(claims->subject);
  return session ? grant_client(services, *session, *claims, call.now, session_rate_mbps)
                 : RelayGrant(forbidden("the token names no session"));
}

}  // namespace higgs::boson
