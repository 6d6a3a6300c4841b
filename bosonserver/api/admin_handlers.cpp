// What operators do: admit and ban nodes, queue actions for them, read the audit.
#include "api/account.h"
#include "base/number.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/node_rules.h"
#include "bosonserver/api/paging.h"

namespace higgs::boson {
namespace {

net::HttpResponse set_admission(Call& call, NodeAdmission admission) {
  const auto id = call.id<NodeId>();
  if (!id) return not_found("node");
  call.act_object = "node:" + to_string(*id);
  const auto set = call.services.store.set_node_admission(*id, admission);
  if (!set) return store_failure(set.error(), "node");
  call.audit_act("ok");
  node_changed(call.services, *id);
  const auto node = call.services.store.node(*id);
  if (!node) return store_failure(node.error(), "node");
  return json_answer(api::NodeState{*id, node->shown_status()});
}

}  // namespace

net::HttpResponse approve_node(Call& call) { return set_admission(call, NodeAdmission::kApproved); }

net::HttpResponse ban_node(Call& call) {
  auto response = set_admission(call, NodeAdmission::kBanned);
  if (response.status != 200) return response;
  const auto id = *call.id<NodeId>();
  const auto ended = call.services.store.end_sessions_of_node(id, "banned", call.seconds());
  call.services.relay.close_node(id, relay::CloseReason::kBanned);
  if (!ended) return store_failure(ended.error(), "session");
  for (const auto& session : *ended) call.services.turn.close_session(session);
  return response;
}

net::HttpResponse create_action(Call& call) {
  const auto id = call.id<NodeId>();
  if (!id) return not_found("node");
  call.act_object = "node:" + to_string(*id);
  const auto body = call.body<api::CreateActionRequest>();
  if (!body) return invalid_body(body.error());
  if (const auto faults = faults_of(*body); !faults.list.empty()) return invalid_body(faults);
  const auto action = make_action(*body, *id, call.services.random, call.seconds());
  const auto added = call.services.store.add_action(action);
  if (!added && added.error() == StoreError::kFull)
    return problem_answer(409, "too-many-actions", "Too many actions wait for this node");
  if (!added) return store_failure(added.error(), "node");
  call.audit_act(outcome_of(action));
  node_changed(call.services, *id);
  return json_answer(api::CreatedAction{action.id}, 201);
}

net::HttpResponse list_actions(Call& call) {
  const auto id = call.id<NodeId>();
  if (!id) return not_found("node");
  const auto list = waiting_actions(call.services.store, *id);
  return list ? json_answer(*list) : store_failure(list.error(), "node");
}

net::HttpResponse list_audit(Call& call) {
  const auto page = page_of(call);
  if (!page) return bad_query("limit is not a number from 1 to 500");
  std::optional<std::int64_t> before;
  if (page->cursor && !(before = parse_number<std::int64_t>(*page->cursor)))
    return bad_query("cursor is not one of ours");
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
