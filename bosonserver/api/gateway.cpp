#include "bosonserver/api/gateway.h"

#include <exception>

#include "bosonserver/api/answers.h"
#include "bosonserver/api/rate_limit.h"
#include "bosonserver/api/tokens.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

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

}  // namespace

net::HttpResponse Gateway::answer(const net::HttpRequest& request, Match match) {
  Call call{request, services_, services_.clock(), std::move(match.parameters), std::nullopt, std::nullopt};
  try {
    const auto rate = count_call(call, match.endpoint ? match.endpoint->rate : RateClass::kGeneral);
    if (rate && rate->exceeded) {
      auto response = later(429, "too-many-requests", "Too many requests", rate->reset_seconds);
      add_rate_headers(response, *rate);
      return response;
    }
    auto response = answer_checked(call, match);
    if (rate) add_rate_headers(response, *rate);
    return response;
  } catch (const std::exception& error) {
    runtime::log::error("a request could not be handled",
                        {{"request", request.request_id}, {"path", request.path}, {"error", error.what()}});
    return problem_answer(500, "internal", "Something went wrong");
  }
}

net::HttpResponse Gateway::answer_checked(Call& call, const Match& match) {
  if (!match.endpoint) {
    if (match.allowed.empty()) return not_found("endpoint");
    auto response = problem_answer(405, "method-not-allowed", "The method is not allowed here");
    response.headers.set("Allow", match.allowed);
    return response;
  }
  const ApiEndpoint& endpoint = *match.endpoint;
  if (auto refused = authenticate(call, endpoint)) return std::move(*refused);
  if (!endpoint.handler) {
    auto response = problem_answer(426, "upgrade-required", "This is a WebSocket");
    response.headers.set("Upgrade", "websocket");
    response.headers.set("Connection", "Upgrade");
    return response;
  }
  if (endpoint.takes_body && !is_json(call.request.headers.get("Content-Type").value_or("")))
    return problem_answer(415, "unsupported-media-type", "The body must be application/json");
  return endpoint.handler(call);
}

std::optional<net::HttpResponse> Gateway::authenticate(Call& call, const ApiEndpoint& endpoint) {
  const bool upgrade = endpoint.access == Access::kRelay || endpoint.access == Access::kServer;
  if (endpoint.access == Access::kPublic || upgrade) return std::nullopt;
  const auto header = call.request.headers.get("Authorization");
  const auto token = header ? jwt::bearer_token(*header) : std::nullopt;
  if (!token) return unauthorized("the Authorization header has no bearer token");
  const auto audience = endpoint.access == Access::kUser ? jwt::Audience::kApi : jwt::Audience::kNode;
  auto claims = verify_token(services_, *token, audience, call.now);
  if (!claims) return unauthorized(claims.error().message());
  call.claims = std::move(*claims);
  if (endpoint.access == Access::kUser) return authenticate_user(call, endpoint);
  if (call.claims->role != kNodeRole) return forbidden("the token is not a node's");
  return std::nullopt;
}

std::optional<net::HttpResponse> Gateway::authenticate_user(Call& call, const ApiEndpoint& endpoint) {
  const auto id = parse_id<UserId>(call.claims->subject);
  if (!id || !api::parse_role(call.claims->role)) return forbidden("the token is not a user's");
  // The store decides, not the token: a user that was disabled or lost a role is stopped at once.
  auto user = services_.store.user_by_id(*id);
  if (!user && user.error() == StoreError::kNotFound) return unauthorized("the account is gone");
  if (!user) return store_failure(user.error(), "user");
  if (user->disabled) return unauthorized("the account is disabled");
  if (user->role < endpoint.least_role)
    return forbidden("this needs the role " + std::string(api::to_string(endpoint.least_role)));
  call.user = std::move(*user);
  return std::nullopt;
}

}  // namespace higgs::boson
