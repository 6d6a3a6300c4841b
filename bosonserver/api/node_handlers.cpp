// Challenge, registration, heartbeat.
#include "api/registration_signature.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/tokens.h"
#include "bosonserver/domain/address_allocation.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

net::HttpResponse conflict_answer(const ErrorCode& error) {
  if (error == StoreError::kIdentityTaken)
    return problem_answer(409, "node-id-taken", "The node id belongs to another identity");
  if (error == StoreError::kKeyTaken)
    return problem_answer(409, "key-taken", "The WireGuard key is registered by another node");
  if (error == StoreError::kStaleSequence)
    return problem_answer(409, "stale-certificate", "A newer key certificate is known",
                          "raise the certificate's sequence when its content changes");
  return store_failure(error, "node");
}

/// What the types of the fields do not say.
std::optional<net::HttpResponse> fault_of(const api::RegisterRequest& body) {
  unsigned v4 = 0, v6 = 0;
  for (std::size_t i = 0; i < body.tunnel_prefixes.size(); ++i) {
    const auto& prefix = body.tunnel_prefixes[i];
    ++(prefix.address().is_v4() ? v4 : v6);
    if (!acceptable_tunnel_prefix(prefix))
      return invalid_field("/tunnelPrefixes/" + std::to_string(i), "is not a private prefix of a usable size");
  }
  if (v4 != 1 || v6 > 1) return invalid_field("/tunnelPrefixes", "needs one IPv4 prefix and at most one of IPv6");
  if (body.location) {
    for (const char c : body.location->country)
      if (c < 'A' || c > 'Z') return invalid_field("/location/country", "is not a country code (ISO 3166-1 alpha-2)");
  }
  if (!body.network_info.ipv4.is_v4()) return invalid_field("/networkInfo/ipv4", "is not an IPv4 address");
  if (body.network_info.ipv6 && !body.network_info.ipv6->is_v6())
    return invalid_field("/networkInfo/ipv6", "is not an IPv6 address");
  if (body.key_certificate.identity_key != body.identity_key)
    return invalid_field("/keyCertificate/identityKey", "is not the identity key");
  if (body.key_certificate.wireguard_public_key != body.public_key)
    return invalid_field("/keyCertificate/wireguardPublicKey", "is not the public key");
  if (!body.key_certificate.policy()) return invalid_field("/keyCertificate/exitPolicy", "is not an exit policy");
  return std::nullopt;
}

/// That the sender holds the identity key, and meant this server, now.
std::optional<net::HttpResponse> fault_of_proof(Call& call, const api::RegisterRequest& body) {
  if (api::node_id_of(body.identity_key) != body.node_id)
    return problem_answer(403, "identity-mismatch", "The node id does not belong to the identity key");
  const auto origin = call.origin();
  if (!origin || (!call.services.settings.public_origin && !call.services.local_names.covers(*origin)))
    return problem_answer(403, "unknown-origin", "This server does not know itself by that name",
                          "its operator has to set public_url to the URL that nodes use");
  const auto header = call.request.headers.get(api::kSignatureHeader);
  if (!header || !api::verify_registration(body.identity_key, *header, *origin, body.nonce, call.request.body))
    return problem_answer(403, "bad-signature", "The registration is not signed as it must be",
                          "expected is a signature for the origin " + *origin);
  const auto fresh = call.services.store.consume_nonce(body.nonce, call.seconds());
  if (!fresh) return store_failure(fresh.error(), "nonce");
  if (!*fresh)
    return problem_answer(403, "bad-nonce", "The nonce is unknown, used or too old", "ask for a new challenge");
  const auto certified = api::verify_key_certificate(body.key_certificate, body.node_id, call.now.wall);
  if (!certified)
    return problem_answer(403, "bad-certificate", "The key certificate is not valid", certified.error().message());
  return std::nullopt;
}

/// As configured, and what operators put on the list since.
Result<AdmissionPolicy> admission_policy(Call& call) {
  auto policy = call.services.settings.admission;
  if (policy.mode != AdmissionPolicy::Mode::kAllowlist) return policy;
  const auto entries = call.services.store.allow_entries();
  if (!entries) return entries.error();
  for (const auto& entry : *entries) {
    if (entry.network) policy.networks.push_back(*entry.network);
    if (entry.identity_key) policy.identity_keys.push_back(*entry.identity_key);
  }
  return policy;
}

NodeRecord record_of(const Call& call, api::RegisterRequest body) {
  NodeRecord node;
  node.id = body.node_id;
  node.identity_key = body.identity_key;
  node.wireguard_key = body.public_key;
  node.key_certificate = std::move(body.key_certificate);
  node.status = api::NodeStatus::kOnline;
  node.tunnel_prefixes = std::move(body.tunnel_prefixes);
  node.network_info = body.network_info;
  node.capabilities = body.capabilities;
  static_cast<api::NodeMetrics&>(node.metrics) = body.metrics;
  node.location = std::move(body.location);
  node.heartbeat_interval = body.heartbeat_interval;
  node.address = call.address();
  node.registered_at = node.last_seen = call.seconds();
  return node;
}

api::RegisterResponse answer_of(Call& call, const NodeRecord& node) {
  const auto expires_at = node_tokens_end(call.services, call.now);
  const auto session = node_token(call.services, node.id, expires_at, call.now);
  const auto relay = node_relay_token(call.services, node.id, expires_at, call.now);
  api::RegisterResponse response;
  response.node_id = node.id;
  response.pending = node.admission == NodeAdmission::kPending;
  response.session_token = session.text;
  response.relay_token = relay.text;
  response.expires_at = session.expires_at;
  response.observed_address = call.address();
  if (const auto origin = call.origin()) {
    response.relay_servers = relay_servers(call.services, *origin);
    response.stun_servers.push_back({host_of_origin(*origin), call.services.settings.stun_port});
    for (const auto& other : call.services.cluster.others())
      response.stun_servers.push_back({host_of_origin(other.url), other.stun_port});
  }
  return response;
}

}  // namespace

net::HttpResponse create_challenge(Call& call) {
  const auto nonce = random_secret(call.services.random);
  const auto expires_at = call.seconds() + call.services.settings.nonce_lifetime.count();
  if (const auto added = call.services.store.add_nonce(nonce, call.seconds(), expires_at); !added)
    return store_failure(added.error(), "nonce");
  return json_answer(api::ChallengeResponse{nonce, expires_at});
}

net::HttpResponse register_node(Call& call) {
  auto body = call.body<api::RegisterRequest>();
  if (!body) return invalid_body(body.error());
  if (auto fault = fault_of(*body)) return std::move(*fault);
  const auto who = "node:" + to_string(body->node_id);
  if (auto fault = fault_of_proof(call, *body)) {
    call.audit_as("anonymous", "node.register", who, "refused: " + std::to_string(fault->status));
    return std::move(*fault);
  }
  const auto policy = admission_policy(call);
  if (!policy) return store_failure(policy.error(), "node");
  const auto decision = decide_admission(*policy, body->identity_key, call.address());
  const auto known = call.services.store.node(body->node_id);
  if (!known && known.error() != StoreError::kNotFound) return store_failure(known.error(), "node");
  const bool banned = known && known->admission == NodeAdmission::kBanned;
  if (banned || decision == AdmissionDecision::kRefuse) {
    call.audit_as(who, "node.register", who, banned ? "banned" : "not on the allow list");
    return problem_answer(403, banned ? "banned" : "not-admitted", "This node is not admitted here");
  }
  auto record = record_of(call, std::move(*body));
  record.admission = decision == AdmissionDecision::kPend ? NodeAdmission::kPending : NodeAdmission::kApproved;
  const auto stored = call.services.store.register_node(record);
  if (!stored) {
    call.audit_as(who, "node.register", who, stored.error().message());
    return conflict_answer(stored.error());
  }
  node_changed(call.services, record.id);
  call.audit_as(who, "node.register", who, stored->admission == NodeAdmission::kPending ? "pending" : "ok");
  return json_answer(answer_of(call, *stored));
}

namespace {

/// Tokens are renewed from half of their life on, so that a missed heartbeat or two cost nothing.
bool are_tokens_old(const Call& call) {
  return call.claims->expires_at - call.seconds() <= call.services.settings.node_lifetime.count() / 2;
}

void renew_tokens(Call& call, NodeId node, std::int64_t expires_at, api::HeartbeatResponse& response) {
  if (!are_tokens_old(call) || expires_at <= call.claims->expires_at) return;
  response.session_token = node_token(call.services, node, expires_at, call.now).text;
  response.relay_token = node_relay_token(call.services, node, expires_at, call.now).text;
}

/// Where it could not be recorded: the node goes on with what is remembered of it.
net::HttpResponse heartbeat_in_grace(Call& call, const HeartbeatRecord& heartbeat, const api::HeartbeatRequest& body,
                                     const ErrorCode& error) {
  const auto known = call.services.grace.remembered_node(heartbeat.node, call.now);
  const auto end = call.services.grace.ends_at(call.now);
  // The node says its results again until somebody has written them down.
  if (error != StoreError::kUnavailable || !known || !end || !body.action_results.empty())
    return store_failure(error, "node");
  if (known->admission == NodeAdmission::kBanned) return problem_answer(403, "banned", "This node is banned");
  call.services.heartbeats.keep(heartbeat);
  api::HeartbeatResponse response;
  response.next_heartbeat = call.seconds() + known->heartbeat_interval;
  response.observed_address = call.address();
  renew_tokens(call, heartbeat.node, std::min(node_tokens_end(call.services, call.now), *end), response);
  return json_answer(response);
}

void finish_actions(Call& call, NodeId node, const std::vector<api::ActionResult>& results) {
  for (const auto& result : results) {
    const auto done = call.services.store.finish_action(node, result.id, result.ok, result.detail, call.seconds());
    if (done) call.audit("node.action", result.id, result.ok ? "ok" : "failed: " + result.detail);
  }
}

}  // namespace

net::HttpResponse heartbeat(Call& call) {
  const auto id = call.id<NodeId>();
  if (!id) return not_found("node");
  if (to_string(*id) != call.claims->subject) return forbidden("the token is another node's");
  const auto body = call.body<api::HeartbeatRequest>();
  if (!body) return invalid_body(body.error());
  if (body->status == api::NodeStatus::kPending || body->status == api::NodeStatus::kBanned)
    return invalid_field("/status", "is none of online, degraded, offline");
  const HeartbeatRecord heartbeat{*id, body->status, body->metrics, call.address(), call.seconds()};
  const auto mark = call.services.grace.mark();
  // New tokens are given on the store's word alone, or for what is left of the grace without it.
  const bool alone = !body->action_results.empty() || are_tokens_old(call);
  const auto recorded = call.services.heartbeats.record(heartbeat, alone, call.now.monotonic);
  if (!recorded) return heartbeat_in_grace(call, heartbeat, *body, recorded.error());
  call.services.grace.remember(*id, {recorded->admission, recorded->heartbeat_interval}, mark);
  if (recorded->admission == NodeAdmission::kBanned) return problem_answer(403, "banned", "This node is banned");
  call.services.directory.heard(heartbeat);
  finish_actions(call, *id, body->action_results);

  api::HeartbeatResponse response;
  response.next_heartbeat = call.seconds() + recorded->heartbeat_interval;
  response.observed_address = call.address();
  // Some of those that waited may have been answered just now.
  if (recorded->actions_wait) {
    const auto actions = call.services.store.pending_actions(*id);
    if (!actions) return store_failure(actions.error(), "node");
    for (const auto& action : *actions) response.actions.push_back({action.id, action.type, {action.payload}});
  }
  renew_tokens(call, *id, node_tokens_end(call.services, call.now), response);
  const auto origin = call.origin();
  if (origin && !call.services.cluster.others().empty()) response.relay_servers = relay_servers(call.services, *origin);
  return json_answer(response);
}

}  // namespace higgs::boson
