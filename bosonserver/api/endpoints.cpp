#include <array>

#include <nlohmann/json.hpp>

#include "bosonserver/api/endpoint.h"
#include "bosonserver/api/handlers.h"

namespace higgs::boson {
namespace {

using enum Access;
using enum Lane;
using enum RateClass;
using W = Work;
constexpr auto kUserRole = api::Role::kUser;
constexpr auto kOperator = api::Role::kOperator;
constexpr auto kAdmin = api::Role::kAdmin;
constexpr bool kBody = true;
constexpr bool kNoBody = false;

// clang-format off
constexpr auto kEndpoints = std::to_array<ApiEndpoint>({
  {"POST",   "/api/v1/nodes/challenge",           kPublic, kUserRole, kNoBody, kRegistration, kStore,    W::kAnonymous, create_challenge},
  {"POST",   "/api/v1/nodes/register",            kPublic, kUserRole, kBody,   kRegistration, kStore,    W::kAnonymous, register_node},
  {"POST",   "/api/v1/nodes/{id}/heartbeat",      kNode,   kUserRole, kBody,   kGeneral,      kStore,    W::kRenewal,   heartbeat, {}, Listener::kMain, Outage::kGrace},
  {"GET",    "/api/v1/nodes",                     kUser,   kUserRole, kNoBody, kList,         kStore,    W::kList,      list_nodes},
  {"GET",    "/api/v1/nodes/{id}",                kUser,   kUserRole, kNoBody, kList,         kStore,    W::kList,      get_node},
  {"POST",   "/api/v1/metrics",                   kNode,   kUserRole, kBody,   kGeneral,      kStore,    W::kRenewal,   report_metrics},
  {"POST",   "/api/v1/routing/request",           kUser,   kUserRole, kBody,   kRoute,        kStore,    W::kRoute,     request_route},
  {"DELETE", "/api/v1/sessions/{id}",             kUser,   kUserRole, kNoBody, kGeneral,      kStore,    W::kRenewal,   end_session},
  {"POST",   "/api/v1/sessions/{id}/renew",       kUser,   kUserRole, kNoBody, kGeneral,      kStore,    W::kRenewal,   renew_session, {}, Listener::kMain, Outage::kGrace},
  {"POST",   "/api/v1/auth/login",                kPublic, kUserRole, kBody,   kLogin,        kPassword, W::kAnonymous, login},
  {"POST",   "/api/v1/auth/certificate",          kCertificate, kUserRole, kBody, kLogin,     kStore,    W::kAnonymous, login_by_certificate},
  {"POST",   "/api/v1/auth/refresh",              kPublic, kUserRole, kBody,   kLogin,        kStore,    W::kRenewal,   refresh},
  {"POST",   "/api/v1/auth/logout",               kPublic, kUserRole, kBody,   kLogin,        kStore,    W::kRenewal,   logout},
  {"POST",   "/api/v1/auth/register",             kPublic, kUserRole, kBody,   kRegistration, kPassword, W::kAnonymous, sign_up},
  {"POST",   "/api/v1/auth/password",             kPerson, kUserRole, kBody,   kLogin,        kPassword, W::kList,      change_password},
  {"POST",   "/api/v1/auth/totp/enrol",           kPerson, kUserRole, kBody,   kLogin,        kPassword, W::kList,      enrol_totp},
  {"POST",   "/api/v1/auth/totp/confirm",         kPerson, kUserRole, kBody,   kLogin,        kStore,    W::kList,      confirm_totp},
  {"POST",   "/api/v1/auth/totp/disable",         kPerson, kUserRole, kBody,   kLogin,        kPassword, W::kList,      disable_totp},
  {"GET",    "/api/v1/api-keys",                  kUser,   kUserRole, kNoBody, kList,         kStore,    W::kList,      list_api_keys},
  {"POST",   "/api/v1/api-keys",                  kPerson, kUserRole, kBody,   kGeneral,      kStore,    W::kList,      create_api_key},
  {"DELETE", "/api/v1/api-keys/{id}",             kUser,   kUserRole, kNoBody, kGeneral,      kStore,    W::kList,      delete_api_key},
  {"GET",    "/api/v1/invites",                   kUser,   kOperator, kNoBody, kList,         kStore,    W::kList,      list_invites},
  {"DELETE", "/api/v1/invites/{id}",              kUser,   kOperator, kNoBody, kGeneral,      kStore,    W::kList,      delete_invite, "invite.revoke"},
  {"POST",   "/api/v1/invites",                   kUser,   kOperator, kBody,   kGeneral,      kStore,    W::kList,      create_invite, "invite.create"},
  {"GET",    "/api/v1/users",                     kUser,   kAdmin,    kNoBody, kList,         kStore,    W::kList,      list_users},
  {"POST",   "/api/v1/users",                     kUser,   kAdmin,    kBody,   kGeneral,      kPassword, W::kList,      create_user, "user.create"},
  {"GET",    "/api/v1/users/{id}",                kUser,   kAdmin,    kNoBody, kList,         kStore,    W::kList,      get_user},
  {"PATCH",  "/api/v1/users/{id}",                kUser,   kAdmin,    kBody,   kGeneral,      kPassword, W::kList,      update_user, "user.update"},
  {"DELETE", "/api/v1/users/{id}",                kUser,   kAdmin,    kNoBody, kGeneral,      kStore,    W::kList,      delete_user, "user.delete"},
  {"GET",    "/api/v1/users/{id}/api-keys",       kUser,   kAdmin,    kNoBody, kList,         kStore,    W::kList,      list_user_api_keys},
  {"DELETE", "/api/v1/users/{id}/api-keys/{key}", kUser,   kAdmin,    kNoBody, kGeneral,      kStore,    W::kList,      delete_user_api_key, "api-key.delete"},
  {"POST",   "/api/v1/admin/nodes/{id}/approve",  kUser,   kOperator, kNoBody, kGeneral,      kStore,    W::kRenewal,   approve_node, "node.approve"},
  {"POST",   "/api/v1/admin/nodes/{id}/ban",      kUser,   kOperator, kNoBody, kGeneral,      kStore,    W::kRenewal,   ban_node, "node.ban"},
  {"GET",    "/api/v1/admin/nodes/{id}/actions",  kUser,   kOperator, kNoBody, kList,         kStore,    W::kList,      list_actions},
  {"POST",   "/api/v1/admin/nodes/{id}/actions",  kUser,   kOperator, kBody,   kGeneral,      kStore,    W::kRenewal,   create_action, "node.action.create"},
  {"GET",    "/api/v1/admin/sessions",            kUser,   kOperator, kNoBody, kList,         kStore,    W::kList,      list_sessions},
  {"GET",    "/api/v1/admin/audit",               kUser,   kOperator, kNoBody, kList,         kStore,    W::kList,      list_audit},
  {"GET",    "/api/v1/admin/allowlist",           kUser,   kOperator, kNoBody, kList,         kStore,    W::kList,      list_allow_entries},
  {"POST",   "/api/v1/admin/allowlist",           kUser,   kOperator, kBody,   kGeneral,      kStore,    W::kRenewal,   create_allow_entry, "allowlist.add"},
  {"DELETE", "/api/v1/admin/allowlist/{id}",      kUser,   kOperator, kNoBody, kGeneral,      kStore,    W::kRenewal,   delete_allow_entry, "allowlist.remove"},
  {"GET",    "/healthz",                          kPublic, kUserRole, kNoBody, kNone,         kLoop,     W::kAlways,    health},
  {"GET",    "/readyz",                           kPublic, kUserRole, kNoBody, kNone,         kStore,    W::kAlways,    ready},
  {"GET",    "/.well-known/jwks.json",            kPublic, kUserRole, kNoBody, kGeneral,      kStore,    W::kAnonymous, key_set},
  {"GET",    "/openapi.json",                     kPublic, kUserRole, kNoBody, kGeneral,      kStore,    W::kAnonymous, openapi},
  {"GET",    "/relay/{id}",                       kRelay,  kUserRole, kNoBody, kGeneral,      kStore,    W::kRenewal,   nullptr},
  {"GET",    "/cascade/{id}",                     kServer, kUserRole, kNoBody, kGeneral,      kStore,    W::kRenewal,   nullptr},
  {"GET",    "/metrics",                          kPublic, kUserRole, kNoBody, kNone,         kStore,    W::kAlways,    nullptr, {}, Listener::kMetrics},
});
// clang-format on

std::string_view name_of(Access access) {
  constexpr std::array<std::string_view, 7> kNames{"public", "user",   "person",     "node",
                                                   "relay",  "server", "certificate"};
  return kNames[static_cast<std::size_t>(access)];
}

/// Whether the path has the template's form; collects what stands at {places}.
bool fits(std::string_view path, std::string_view pattern, std::vector<std::string>& parameters) {
  parameters.clear();
  while (!path.empty() && !pattern.empty()) {
    if (path.front() != '/' || pattern.front() != '/') return false;
    path.remove_prefix(1);
    pattern.remove_prefix(1);
    const auto part = path.substr(0, path.find('/'));
    const auto wanted = pattern.substr(0, pattern.find('/'));
    if (wanted.starts_with('{')) {
      if (part.empty()) return false;
      parameters.emplace_back(part);
    } else if (part != wanted) {
      return false;
    }
    path.remove_prefix(part.size());
    pattern.remove_prefix(wanted.size());
  }
  return path.empty() && pattern.empty();
}

}  // namespace

std::span<const ApiEndpoint> endpoints() { return kEndpoints; }

std::string endpoints_json() {
  auto list = nlohmann::ordered_json::array();
  for (const auto& endpoint : kEndpoints) {
    list.push_back({{"method", endpoint.method},
                    {"path", endpoint.path},
                    {"access", name_of(endpoint.access)},
                    {"role", endpoint.access == kUser || endpoint.access == kPerson
                                 ? std::string(api::to_string(endpoint.least_role))
                                 : ""},
                    {"listener", endpoint.listener == Listener::kMain ? "main" : "metrics"}});
  }
  return list.dump(2);
}

Match match_endpoint(std::string_view method, std::string_view path) {
  Match match;
  // Literal rows stand before those with places, so that "/nodes/challenge" is not taken for a node's id.
  for (const auto& endpoint : kEndpoints) {
    std::vector<std::string> parameters;
    if (endpoint.listener != Listener::kMain || !fits(path, endpoint.path, parameters)) continue;
    if (endpoint.method == method) return {&endpoint, std::move(parameters), {}};
    match.allowed += (match.allowed.empty() ? "" : ", ") + std::string(endpoint.method);
  }
  return match;
}

}  // namespace higgs::boson
