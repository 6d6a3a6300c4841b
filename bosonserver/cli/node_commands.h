// `bosonserver node …`: volunteers' nodes.
#pragma once

#include <string>

#include "bosonserver/cli/command_table.h"

namespace higgs::boson {

class NodeCommands {
 public:
  /// The table refers to this object.
  explicit NodeCommands(CommandTable& table);
  NodeCommands(const NodeCommands&) = delete;
  NodeCommands& operator=(const NodeCommands&) = delete;

 private:
  void add_action_commands(CommandTable& table, CLI::App& group);
  void add_allowlist_commands(CommandTable& table, CLI::App& group);

  static int list(Console& console);
  int show(Console& console) const;
  int admit(Console& console, const char* action) const;
  int ban(Console& console) const;
  int queue(Console& console, api::ActionType type, const Console::Json& payload) const;
  int update_config(Console& console) const;
  int list_actions(Console& console) const;
  static int list_allowed(Console& console);
  int allow(Console& console) const;
  int disallow(Console& console) const;

  std::string id_, config_, switch_, who_, note_, entry_;
};

}  // namespace higgs::boson
