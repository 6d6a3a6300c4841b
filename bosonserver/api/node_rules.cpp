#include "bosonserver/api/node_rules.h"

#include "api/node_config.h"

namespace higgs::boson {
namespace {

template <class T>
api::FieldErrors faults_in(const api::Decoded<T>& payload) {
  if (payload) return {};
  auto errors = payload.error();
  for (auto& error : errors.list) error.pointer.insert(0, "/payload");
  return errors;
}

api::FieldErrors fault(std::string pointer, std::string message) {
  api::FieldErrors errors;
  errors.list.push_back({std::move(pointer), std::move(message)});
  return errors;
}

}  // namespace

api::FieldErrors faults_of(const api::CreateActionRequest& request) {
  switch (request.type) {
    case api::ActionType::kUpdateConfig:
      return faults_in(api::decode_node_config(request.payload.text));
    case api::ActionType::kMaintenance:
      return faults_in(api::decode<api::MaintenancePayload>(request.payload.text));
    case api::ActionType::kRestart:
      break;
  }
  if (!request.payload.text.starts_with('{')) return fault("/payload", "is not an object");
  return {};
}

ActionRecord make_action(const api::CreateActionRequest& request, NodeId node, RandomSource& random, std::int64_t now) {
  return {Uuid::random(random).to_string(), node, request.type, request.payload.text, now};
}

std::string outcome_of(const ActionRecord& action) {
  return "ok: " + std::string(api::to_string(action.type)) + " " + action.id;
}

Result<api::ActionList> waiting_actions(Store& store, NodeId node) {
  if (const auto known = store.node(node); !known) return known.error();
  const auto actions = store.pending_actions(node);
  if (!actions) return actions.error();
  api::ActionList list;
  for (const auto& action : *actions)
    list.actions.push_back({action.id, action.type, {action.payload}, action.created_at});
  return list;
}

api::FieldErrors faults_of(const api::CreateAllowEntryRequest& request) {
  if (request.network.has_value() != request.identity_key.has_value()) return {};
  return fault("/network", "is needed, or identityKey, and not both");
}

AllowEntry make_allow_entry(const api::CreateAllowEntryRequest& request, RandomSource& random, std::string created_by,
                            std::int64_t now) {
  return {Uuid::random(random).to_string(), request.network,       request.identity_key,
          request.note.value_or(""),        std::move(created_by), now};
}

std::string object_of(const AllowEntry& entry) {
  return entry.network ? entry.network->to_string() : "identity:" + entry.identity_key->to_base64();
}

api::AllowListEntry shown(const AllowEntry& entry) {
  return {entry.id, entry.network, entry.identity_key, entry.note, entry.created_by, entry.created_at};
}

}  // namespace higgs::boson
