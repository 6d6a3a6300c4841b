// The commands that work on the store, in their groups: `bosonserver user add …`. Each group is a class of its own that
// adds its commands with what they do.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "bosonserver/cli/console.h"

namespace higgs::boson {

class CommandTable {
 public:
  using Action = std::function<int(Console&)>;

  explicit CommandTable(CLI::App& app) : app_(app) {}

  CLI::App& add_group(const char* name, const char* what, const char* examples);
  /// With --json, and the options that say where the store is. The action runs if it is this command that was given.
  CLI::App& add(CLI::App& group, const char* name, const char* what, const char* examples, Action action);
  /// --state-dir, --store, --store-password-file and --config, for commands that are not of a group, too.
  void add_store_options(CLI::App& command);

  /// After parsing; nullptr: none of these.
  const Action* chosen() const;
  bool json() const noexcept { return json_; }
  const std::optional<std::filesystem::path>& config() const noexcept { return config_; }
  /// What the command line says of the store; what is wrong with it.
  std::optional<std::string> apply(ServerSettings& settings) const;

 private:
  struct Command {
    CLI::App* app;
    Action action;
  };

  CLI::App& app_;
  std::vector<Command> commands_;
  std::optional<std::filesystem::path> state_dir_, store_password_file_, config_;
  std::optional<std::string> store_;
  bool json_ = false;
};

}  // namespace higgs::boson
