// `bosonserver audit …`: who did what, and whether somebody has changed it since.
#pragma once

#include <optional>
#include <string>

#include "bosonserver/cli/command_table.h"

namespace higgs::boson {

class AuditCommands {
 public:
  /// The table refers to this object.
  explicit AuditCommands(CommandTable& table);
  AuditCommands(const AuditCommands&) = delete;
  AuditCommands& operator=(const AuditCommands&) = delete;

 private:
  int list(Console& console) const;
  int verify(Console& console) const;

  std::size_t limit_ = 100;
  std::optional<std::string> head_;
};

}  // namespace higgs::boson
