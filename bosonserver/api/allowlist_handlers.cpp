// The allow-list of nodes: who may join in admission mode allowlist, beside what the configuration names.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"

namespace higgs::boson {
namespace {

api::AllowListEntry shown(const AllowEntry& entry) {
  return {entry.id, entry.network, entry.identity_key, entry.note, entry.created_by, entry.created_at};
}

std::string object_of(const AllowEntry& entry) {
  return entry.network ? entry.network->to_string() : "identity:" + entry.identity_key->to_base64();
}

}  // namespace

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
  if (body->network.has_value() == body->identity_key.has_value())
    return invalid_field("/network", "is needed, or identityKey, and not both");
  const AllowEntry entry{Uuid::random(call.services.random).to_string(),
                         body->network,
                         body->identity_key,
                         body->note.value_or(""),
                         call.actor(),
                         call.seconds()};
  const auto added = call.services.store.add_allow_entry(entry);
  if (!added && added.error() == StoreError::kExists)
    return problem_answer(409, "entry-exists", "There is such an entry already");
  if (!added) return store_failure(added.error(), "entry");
  call.audit("allowlist.add", object_of(entry), "ok");
  return json_answer(shown(entry), 201);
}

net::HttpResponse delete_allow_entry(Call& call) {
  if (!Uuid::parse(call.parameters.front())) return not_found("entry");
  const auto removed = call.services.store.remove_allow_entry(call.parameters.front());
  if (!removed) return store_failure(removed.error(), "entry");
  call.audit("allowlist.remove", call.parameters.front(), "ok");
  return no_content();
}

}  // namespace higgs::boson
