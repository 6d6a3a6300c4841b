#include "higgsnode/operator_actions.h"

#include "runtime/log.h"

namespace higgs::node {
namespace {

namespace log = runtime::log;

/// What the heartbeat takes of a detail.
constexpr std::size_t kMostDetailBytes = 256;

api::ActionResult failure(const api::NodeAction& action, std::string detail) {
  if (detail.size() > kMostDetailBytes) detail.resize(kMostDetailBytes);
  return {action.id, false, std::move(detail)};
}

}  // namespace

OperatorActions::OperatorActions(std::filesystem::path state_dir, Settings configured, Hooks hooks)
    : state_dir_(std::move(state_dir)),
      configured_(std::move(configured)),
      hooks_(std::move(hooks)),
      log_(state_dir_ / "actions.json") {
  std::string problem;
  standing_ = load_operator_settings(state_dir_, problem);
  if (!problem.empty())
    log::warn("what operators changed counts for nothing", {{"file", file().string()}, {"reason", problem}});
}

api::ActionResult OperatorActions::execute(const api::NodeAction& action) {
  if (const auto* done = log_.find(action.id)) return *done;
  // Remembered first where doing it twice would hurt: a restart that is forgotten comes again and again.
  if (action.type == api::ActionType::kRestart) {
    const api::ActionResult result{action.id, true, "restarts"};
    if (const auto kept = log_.add(result); !kept)
      return failure(action, "cannot be remembered, so it is not done: " + kept.error().message());
  }
  auto result = perform(action);
  ++executed_;
  log::warn("an operator of the server asked for an action", {{"type", std::string(api::to_string(action.type))},
                                                              {"id", action.id},
                                                              {"done", result.ok},
                                                              {"detail", result.detail}});
  if (action.type == api::ActionType::kRestart) return result;
  // The others do the same when they are done again.
  if (const auto kept = log_.add(result); !kept)
    log::warn("an action cannot be remembered", {{"id", action.id}, {"reason", kept.error().message()}});
  return result;
}

api::ActionResult OperatorActions::perform(const api::NodeAction& action) {
  switch (action.type) {
    case api::ActionType::kUpdateConfig:
      return update_config(action);
    case api::ActionType::kMaintenance:
      return set_maintenance(action);
    case api::ActionType::kRestart:
      break;
  }
  hooks_.restart();
  return {action.id, true, "restarts"};
}

Result<void> OperatorActions::keep(OperatorSettings wanted) {
  if (auto saved = save_operator_settings(state_dir_, wanted); !saved) return saved.error();
  standing_ = std::move(wanted);
  return {};
}

api::ActionResult OperatorActions::update_config(const api::NodeAction& action) {
  const auto merged = api::merge_node_config(standing_.config, action.payload.text);
  if (!merged) return failure(action, merged.error().to_string());
  if (merged->max_connections > configured_.max_connections) {
    return failure(action,
                   "/maxConnections: the volunteer allows " + std::to_string(configured_.max_connections) + " at most");
  }
  const auto before = standing_.config;
  if (const auto kept = keep({*merged, standing_.maintenance}); !kept)
    return failure(action, "cannot be kept: " + kept.error().message());
  hooks_.changed(before);
  return {action.id, true, ""};
}

api::ActionResult OperatorActions::set_maintenance(const api::NodeAction& action) {
  const auto payload = api::decode<api::MaintenancePayload>(action.payload.text);
  if (!payload) return failure(action, payload.error().to_string());
  if (payload->on != standing_.maintenance) {
    if (const auto kept = keep({standing_.config, payload->on}); !kept)
      return failure(action, "cannot be kept: " + kept.error().message());
    hooks_.maintenance();
  }
  return {action.id, true, payload->on ? "takes no new sessions" : "takes sessions"};
}

}  // namespace higgs::node
