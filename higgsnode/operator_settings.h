// What operators of the server have changed on this node. It lies in one file of the state directory, which the
// volunteer can read, and delete to be rid of it; the volunteer's own configuration stays the upper bound.
#pragma once

#include <filesystem>
#include <string>

#include "api/node_config.h"
#include "base/result.h"
#include "higgsnode/settings.h"

namespace higgs::node {

struct OperatorSettings {
  api::NodeConfig config;
  bool maintenance = false;  ///< no new sessions
};

std::filesystem::path operator_settings_file(const std::filesystem::path& state_dir);

/// What the file says; nothing changed if there is none. A file that is not ours, or names what no operator may change,
/// counts for nothing, and `problem` says why.
OperatorSettings load_operator_settings(const std::filesystem::path& state_dir, std::string& problem);
/// Removes the file when nothing is changed.
Result<void> save_operator_settings(const std::filesystem::path& state_dir, const OperatorSettings& settings);

/// What is in force: the volunteer's settings, with what operators changed, within what the volunteer allows.
Settings in_force(Settings configured, const api::NodeConfig& changes);

}  // namespace higgs::node
