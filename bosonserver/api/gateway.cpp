#include "bosonserver/api/gateway.h"

#include <algorithm>
#include <exception>

#include "bosonserver/api/answers.h"
#include "bosonserver/api/rate_limit.h"
#include "bosonserver/api/tokens.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

/// How exactly it is kept when an API key was used: a write for each call would cost more than the call.
constexpr std::chrono::hours kKeyUseGrain{1};

/// "application/json", with or without parameters.
bool is_json(std::string_view content_type) {
  constexpr std::string_view kJson = "application/json";
  if (content_type.size() < kJson.size()) return false;
  for (std::size_t i = 0; i < kJson.size(); ++i) {
    const char c = content_type[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kJson[i]) return false;
  }
  return content_type.size() == kJson.size() || content_type[kJson.size()] == ';' || content_type[kJson.size()] == ' ';
}

/// The handshake has shown that the certificate is good and the client's, but a connection may outlive it.
std::optional<net::HttpResponse> refuse_without_certificate(const Call& call) {
  if (call.request.behind_tls_proxy)
    return problem_answer(403, "certificate-behind-proxy", "A client certificate does not reach this server",
                          "a proxy before it ends TLS: log in with the password, or past the proxy");
  const auto& certificate = call.request.client_certificate;
  if (!certificate)
    return problem_answer(401, "certificate-required", "A client certificate is needed",
                          "none came with the TLS handshake; the server asks for one where tls.client_ca is set");
  if (certificate->not_after <= call.now.wall)
    return problem_answer(401, "certificate-refused", "The client certificate is not accepted", "it has expired");
  return std::nullopt;
}

net::HttpResponse failed(const Passage& passage, const std::exception& error) {
  runtime::log::error(
      "a request could not be handled",
      {{"request", passage.call.request.request_id}, {"path", passage.call.request.path}, {"error", error.what()}});
  return problem_answer(500, "internal", "Something went wrong");
}

net::HttpResponse answer_of(Passage& passage) {
  try {
    return passage.endpoint->handler(passage.call);
  } catch (const std::exception& error) {
    return failed(passage, error);
  }
}

/// Here for all of them: an administrative act is in the audit whatever becomes of it.
void audit_refusal(Call& call, const net::HttpResponse& response) {
  if (call.act.empty() || call.act_audited || response.status < 400) return;
  auto outcome = "refused: " + std::to_string(response.status);
  const auto problem = api::decode<api::Problem>(response.body);
  if (problem && problem->type.starts_with(api::kProblemTypePrefix))
    outcome += " " + problem->type.substr(api::kProblemTypePrefix.size());
  // Of a path only ids: the rest may be anything, and of any length.
  if (call.act_object.empty())
    for (const auto& parameter : call.parameters)
      if (Uuid::parse(parameter)) call.act_object = parameter;
  call.audit_act(outcome);
}

}  // namespace

Passage Gateway::begin(const net::HttpRequest& request, Match match) const {
  Passage passage{Call{request, services_, services_.clock(), std::move(match.parameters)}, match.endpoint,
                  std::move(match.allowed), std::nullopt};
  if (match.endpoint) passage.call.act = match.endpoint->act;
  return passage;
}

std::optional<net::HttpResponse> Gateway::check(Passage& passage) {
  try {
    auto response = refusal(passage);
    if (response && passage.rate) add_rate_headers(*response, *passage.rate);
    return response;
  } catch (const std::exception& error) {
    return failed(passage, error);
  }
}

net::HttpResponse Gateway::handle(Passage& passage) {
  try {
    auto response = answer_of(passage);
    audit_refusal(passage.call, response);
    if (passage.rate) add_rate_headers(response, *passage.rate);
    return response;
  } catch (const std::exception& error) {
    return failed(passage, error);
  }
}

std::optional<net::HttpResponse> Gateway::refusal(Passage& passage) {
  Call& call = passage.call;
  const RateClass rate = passage.endpoint ? passage.endpoint->rate : RateClass::kGeneral;
  passage.rate = count_address(call, rate);
  if (passage.rate && passage.rate->exceeded) return too_many_requests(services_, *passage.rate);
  if (!passage.endpoint) {
    if (passage.allowed.empty()) return not_found("endpoint");
    auto response = problem_answer(405, "method-not-allowed", "The method is not allowed here");
    response.headers.set("Allow", passage.allowed);
    return response;
  }
  const ApiEndpoint& endpoint = *passage.endpoint;
  if (auto refused = authenticate(call, endpoint)) return refused;
  passage.rate = tighter(passage.rate, count_caller(call, rate));
  if (passage.rate && passage.rate->exceeded) return too_many_requests(services_, *passage.rate);
  if (!endpoint.handler) {
    auto response = problem_answer(426, "upgrade-required", "This is a WebSocket");
    response.headers.set("Upgrade", "websocket");
    response.headers.set("Connection", "Upgrade");
    return response;
  }
  if (endpoint.takes_body && !is_json(call.request.headers.get("Content-Type").value_or("")))
    return problem_answer(415, "unsupported-media-type", "The body must be application/json");
  return std::nullopt;
}

std::optional<net::HttpResponse> Gateway::authenticate(Call& call, const ApiEndpoint& endpoint) {
  const bool upgrade = endpoint.access == Access::kRelay || endpoint.access == Access::kServer;
  if (endpoint.access == Access::kPublic || upgrade) return std::nullopt;
  if (endpoint.access == Access::kCertificate) return refuse_without_certificate(call);
  const auto header = call.request.headers.get("Authorization");
  const auto token = header ? jwt::bearer_token(*header) : std::nullopt;
  if (!token) return unauthorized("the Authorization header has no bearer token");
  if (token->starts_with(kApiKeyPrefix)) return authenticate_key(call, endpoint, *token);
  const auto audience = endpoint.access == Access::kNode ? jwt::Audience::kNode : jwt::Audience::kApi;
  auto claims = verify_token(services_, *token, audience, call.now);
  // Nobody gets a new one while the store is away: what was good when it answered last is good for as long as it is.
  const bool outlived = !claims && claims.error() == jwt::TokenError::kExpired && endpoint.outage == Outage::kGrace;
  if (outlived) claims = verify_token(services_, *token, audience, {call.now.monotonic, services_.grace.last_answer()});
  if (!claims) return unauthorized(claims.error().message());
  call.claims = std::move(*claims);
  if (outlived) return authenticate_outlived(call, endpoint);
  if (endpoint.access != Access::kNode) return authenticate_user(call, endpoint);
  if (call.claims->role != kNodeRole) return forbidden("the token is not a node's");
  return std::nullopt;
}

std::optional<net::HttpResponse> Gateway::authenticate_outlived(Call& call, const ApiEndpoint& endpoint) {
  const auto id = parse_id<UserId>(call.claims->subject);
  const auto caller = endpoint.access != Access::kNode && id
                          ? services_.grace.caller_by_login(*id, call.claims->family, call.now)
                          : Result<Known<Caller>>(StoreError::kNotFound);
  if (!caller || !caller->remembered) return unauthorized("the token has expired");
  return admit(call, endpoint, caller->value.user, caller->value.user.role);
}

std::optional<net::HttpResponse> Gateway::authenticate_user(Call& call, const ApiEndpoint& endpoint) {
  const auto id = parse_id<UserId>(call.claims->subject);
  if (!id || !api::parse_role(call.claims->role)) return forbidden("the token is not a user's");
  // The store decides, not the token: who was disabled, lost a role or was logged out is stopped at once.
  auto known = services_.grace.caller_by_login(*id, call.claims->family, call.now);
  if (!known && known.error() == StoreError::kNotFound) return unauthorized("the account is gone");
  if (!known) return store_failure(known.error(), "user");
  if (known->remembered && endpoint.outage == Outage::kRefuse) return store_failure(StoreError::kUnavailable, "user");
  auto& caller = known->value;
  if (!caller.login_stands) return unauthorized("the login was ended");
  const auto role = caller.user.role;
  return admit(call, endpoint, std::move(caller.user), role);
}

std::optional<net::HttpResponse> Gateway::authenticate_key(Call& call, const ApiEndpoint& endpoint,
                                                           std::string_view key) {
  if (endpoint.access == Access::kNode) return unauthorized("the token is not a node's");
  auto known = services_.grace.caller_by_key(digest_of_secret(key), call.now);
  if (!known && known.error() == StoreError::kNotFound) return unauthorized("there is no such API key (any more)");
  if (!known) return store_failure(known.error(), "API key");
  if (known->remembered && endpoint.outage == Outage::kRefuse)
    return store_failure(StoreError::kUnavailable, "API key");
  auto& caller = known->value;
  const auto& record = caller.key;
  if (record.expires_at && *record.expires_at <= call.seconds()) return unauthorized("the API key has expired");
  if (endpoint.access == Access::kPerson) return forbidden("an API key cannot do this: log in");
  if (!known->remembered &&
      call.seconds() - record.last_used_at.value_or(0) >= std::chrono::seconds(kKeyUseGrain).count())
    (void)services_.store.record_key_use(record.id, call.seconds());
  call.key_name = record.name;
  const auto role = std::min(record.role, caller.user.role);
  return admit(call, endpoint, std::move(caller.user), role);
}

std::optional<net::HttpResponse> Gateway::admit(Call& call, const ApiEndpoint& endpoint, UserRecord user,
                                                api::Role role) {
  if (user.disabled) return unauthorized("the account is disabled");
  if (role < endpoint.least_role)
    return forbidden("this needs the role " + std::string(api::to_string(endpoint.least_role)));
  call.user = std::move(user);
  call.role = role;
  return std::nullopt;
}

}  // namespace higgs::boson
