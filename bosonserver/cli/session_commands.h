// `bosonserver session …`: tunnels.
#pragma once

#include <string>

#include "bosonserver/cli/command_table.h"

namespace higgs::boson {

class SessionCommands {
 public:
  /// The table refers to this object.
  explicit SessionCommands(CommandTable& table);
  SessionCommands(const SessionCommands&) = delete;
  SessionCommands& operator=(const SessionCommands&) = delete;

 private:
  int list(Console& console) const;
  int end(Console& console) const;

  std::string id_;
  std::size_t limit_ = 100;
  bool live_ = false;
};

}  // namespace higgs::boson
