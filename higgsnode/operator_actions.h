// Carries out what operators of the server ask of this node, as far as the volunteer allows it: other limits and
// intervals, maintenance, a restart. Control thread.
#pragma once

#include <filesystem>
#include <functional>

#include "higgsnode/action_log.h"
#include "higgsnode/operator_settings.h"

namespace higgs::node {

class OperatorActions {
 public:
  struct Hooks {
    std::function<void(const api::NodeConfig& before)> changed;  ///< what is in force is another: see settings()
    std::function<void()> maintenance;                           ///< it began or ended
    std::function<void()> restart;                               ///< soon, after the result is on its way
  };

  /// `configured` is the volunteer's word. Reads what earlier runs kept.
  OperatorActions(std::filesystem::path state_dir, Settings configured, Hooks hooks);

  /// Does it unless that id was done before; then the result is the same again.
  api::ActionResult execute(const api::NodeAction& action);

  const OperatorSettings& standing() const noexcept { return standing_; }
  Settings settings() const { return in_force(configured_, standing_.config); }
  std::filesystem::path file() const { return operator_settings_file(state_dir_); }
  std::uint64_t executed() const noexcept { return executed_; }

 private:
  api::ActionResult perform(const api::NodeAction& action);
  api::ActionResult update_config(const api::NodeAction& action);
  api::ActionResult set_maintenance(const api::NodeAction& action);
  Result<void> keep(OperatorSettings wanted);

  std::filesystem::path state_dir_;
  Settings configured_;
  Hooks hooks_;
  OperatorSettings standing_;
  ActionLog log_;
  std::uint64_t executed_ = 0;
};

}  // namespace higgs::node
