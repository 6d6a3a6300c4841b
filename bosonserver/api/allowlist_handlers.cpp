// The allow-list of nodes: who may join in admission mode allowlist, beside what the configuration names.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/node_rules.h"

namespace higgs::boson {

net::HttpResponse list_allow_entries(Call& call) {
  const auto entries = call.services.store.allow_entries();
  if (!entries) return store_failure(entries.error(), "entry");
  api::AllowList list;
  for (const auto& entry : *entries) list.entries.push_back(shown(entry));
  return json_answer(list);
}

net::HttpResponse create_allow_entry(Call& call) {
  const auto body = call.body<api::CreateAllowEntryRequest>();
  if (!body) return invalid_body(body.error());
  if (const auto faults = faults_of(*body); !faults.list.empty()) return invalid_body(faults);
  const auto entry = make_allow_entry(*body, call.services.random, call.actor(), call.seconds());
  call.act_object = object_of(entry);
  const auto added = call.services.store.add_allow_entry(entry);
  if (!added && added.error() == StoreError::kExists)
    return problem_answer(409, "entry-exists", "There is such an entry already");
  if (!added) return store_failure(added.error(), "entry");
  call.audit_act("ok");
  return json_answer(shown(entry), 201);
}

net::HttpResponse delete_allow_entry(Call& call) {
  if (!Uuid::parse(call.parameters.front())) return not_found("entry");
  call.act_object = call.parameters.front();
  const auto removed = call.services.store.remove_allow_entry(call.act_object);
  if (!removed) return store_failure(removed.error(), "entry");
  call.audit_act("ok");
  return no_content();
}

}  // namespace higgs::boson
