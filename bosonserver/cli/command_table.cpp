#include "bosonserver/cli/command_table.h"

#include <algorithm>

#include "bosonserver/store/open_store.h"

namespace higgs::boson {

CLI::App& CommandTable::add_group(const char* name, const char* what, const char* examples) {
  auto& group = *app_.add_subcommand(name, what);
  group.require_subcommand(1);
  group.footer(examples);
  return group;
}

CLI::App& CommandTable::add(CLI::App& group, const char* name, const char* what, const char* examples, Action action) {
  auto& command = *group.add_subcommand(name, what);
  command.footer(examples);
  command.add_flag("--json", json_, "for scripts");
  add_store_options(command);
  commands_.push_back({&command, std::move(action)});
  return command;
}

void CommandTable::add_store_options(CLI::App& command) {
  command.add_option("--state-dir", state_dir_, "keys, certificate and the embedded store");
  command.add_option("--store", store_, "sqlite:PATH or postgresql://USER@HOST/DATABASE");
  command.add_option("--store-password-file", store_password_file_, "file with the password for PostgreSQL");
  command.add_option("--config", config_, "TOML file");
}

const CommandTable::Action* CommandTable::chosen() const {
  const auto given = std::find_if(commands_.begin(), commands_.end(), [](const auto& c) { return c.app->parsed(); });
  return given == commands_.end() ? nullptr : &given->action;
}

std::optional<std::string> CommandTable::apply(ServerSettings& settings) const {
  if (state_dir_) settings.state_dir = *state_dir_;
  if (store_password_file_) settings.store_password_file = store_password_file_;
  if (!store_) return std::nullopt;
  if (const auto fault = fault_of_store_url(*store_)) return "--store " + *fault;
  settings.store = store_;
  return std::nullopt;
}

}  // namespace higgs::boson
