// `bosonserver keys …`: the keys that sign tokens.
#pragma once

#include "bosonserver/cli/command_table.h"

namespace higgs::boson {

class KeysCommands {
 public:
  explicit KeysCommands(CommandTable& table);
};

}  // namespace higgs::boson
