// What operators do: admit and ban nodes, queue actions for them, read the audit.
#include <charconv>

#include "api/account.h"
#include "api/node_config.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/paging.h"

namespace higgs::boson {
namespace {

template <class T>
std::optional<net::HttpResponse> fault_in(const api::Decoded<T>& payload) {
  if (payload) return std::nullopt;
  auto errors = payload.error();
  for (auto& error : errors.list) error.pointer.insert(0, "/payload");
  return invalid_body(errors);
}

/// The node looks at it again; here the operator learns of it at once.
std::optional<net::HttpResponse> fault_of(const api::CreateActionRequest& body) {
  switch (body.type) {
    case api::ActionType::kUpdateConfig:
      return fault_in(api::decode_node_config(body.payload.text));
    case api::ActionType::kMaintenance:
      return fault_in(api::decode<api::MaintenancePayload>(body.payload.text));
    case api::ActionType::kRestart:
      break;
  }
  if (!body.payload.text.starts_with('{')) return invalid_field("/payload", "is not an object");
  return std::nullopt;
}

net::HttpResponse set_admission(Call& call, NodeAdmission admission, std::string_view action) {
  const auto id = call.id<NodeId>();
  if (!id) return not_found("node");
  const auto set = call.services.store.set_node_admission(*id, admission);
  call.audit(action, "node:" + to_string(*id), set ? "ok" : set.error().message());
  if (!set) return store_failure(set.error(), "node");
  node_changed(call.services, *id);
  const auto node = call.services.store.node(*id);
  if (!node) return store_failure(node.error(), "node");
  return json_answer(api::NodeState{*id, node->shown_status()});
}

}  // namespace

net::HttpResponse approve_node(Call& call) { return set_admission(call, NodeAdmission::kApproved, "node.approve"); }

net::HttpResponse ban_node(Call& call) {
  auto response = set_admission(call, NodeAdmission::kBanned, "node.ban");
  if (response.status != 200) return response;
  const auto id = *call.id<NodeId>();
  const auto ended = call.services.store.end_sessions_of_node(id, "banned", call.seconds());
  if (!ended) return store_failure(ended.error(), "session");
  call.services.relay.close_node(id, relay::CloseReason::kBanned);
  for (const auto& session : *ended) call.services.turn.close_session(session);
  return response;
}

net::HttpResponse create_action(Call& call) {
  const auto id = call.id<NodeId>();
  if (!id) return not_found("node");
  const auto body = call.body<api::CreateActionRequest>();
  if (!body) return invalid_body(body.error());
  if (auto fault = fault_of(*body)) return std::move(*fault);
  ActionRecord action;
  action.id = Uuid::random(call.services.random).to_string();
  action.node = *id;
  action.type = body->type;
  action.payload = body->payload.text;
  action.created_at = call.seconds();
  const auto added = call.services.store.add_action(action);
  call.audit("node.action.create", "node:" + to_string(*id),
             added ? "ok: " + std::string(api::to_string(action.type)) + " " + action.id : added.error().message());
  if (!added && added.error() == StoreError::kFull)
    return problem_answer(409, "too-many-actions", "Too many actions wait for this node");
  if (!added) return store_failure(added.error(), "node");
  node_changed(call.services, *id);
  return json_answer(api::CreatedAction{action.id}, 201);
}

net::HttpResponse list_audit(Call& call) {
  const auto page = page_of(call);
  if (!page) return bad_query("limit is not a number from 1 to 500");
  std::optional<std::int64_t> before;
  if (page->cursor) {
    std::int64_t id = 0;
    const auto* const last = page->cursor->data() + page->cursor->size();
    const auto [end, error] = std::from_chars(page->cursor->data(), last, id);
    if (error != std::errc{} || end != last) return bad_query("cursor is not one of ours");
    before = id;
  }
  const auto entries = call.services.store.audit(before, page->limit + 1);
  if (!entries) return store_failure(entries.error(), "audit");
  api::AuditList list;
  for (const auto& entry : *entries) {
    if (list.entries.size() == page->limit) {
      list.next_cursor = std::to_string(list.entries.back().id);
      break;
    }
    list.entries.push_back(
        {entry.id, entry.time, entry.actor, entry.address, entry.action, entry.object, entry.outcome});
  }
  return json_answer(list);
}

}  // namespace higgs::boson
