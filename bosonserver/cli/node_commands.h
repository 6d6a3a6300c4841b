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
  static int list(Console& console);
  int show(Console& console) const;
  int admit(Console& console, const char* action) const;
  int ban(Console& console) const;

  std::string id_;
};

}  // namespace higgs::boson
