#include "bosonserver/api/call.h"

#include "api/registration_signature.h"
#include "runtime/log.h"

namespace higgs::boson {

std::optional<std::string_view> Call::query(std::string_view name) const {
  for (const auto& [key, value] : request.query)
    if (key == name) return value;
  return std::nullopt;
}

std::string Call::address_bucket() const {
  const auto from = address();
  return from.is_v4() ? from.to_string() : IpPrefix::make(from, 64)->to_string();
}

std::string Call::actor() const {
  if (user) return "user:" + user->name + (key_name ? " key:" + *key_name : "");
  return claims ? "node:" + claims->subject : "anonymous";
}

void Call::audit(std::string_view action, std::string_view object, std::string_view outcome) const {
  audit_as(actor(), action, object, outcome);
}

void Call::audit_act(std::string_view outcome) {
  act_audited = true;
  audit(act, act_object, outcome);
}

void Call::audit_as(std::string_view who, std::string_view action, std::string_view object,
                    std::string_view outcome) const {
  const AuditEntry entry{0,
                         seconds(),
                         std::string(who),
                         address().to_string(),
                         std::string(action),
                         std::string(object),
                         std::string(outcome)};
  if (services.store.add_audit(entry)) return;
  runtime::log::error("the audit cannot be written", {{"actor", entry.actor},
                                                      {"action", entry.action},
                                                      {"object", entry.object},
                                                      {"outcome", entry.outcome},
                                                      {"request", request.request_id}});
}

std::optional<std::string> Call::origin() const {
  if (services.settings.public_origin) return services.settings.public_origin;
  const auto host = request.headers.get("Host");
  return host ? api::origin_of("https://" + std::string(*host)) : std::nullopt;
}

}  // namespace higgs::boson
