// resolv.conf as a file: what it is now, writing it in place, replacing a symlink, and deciding what undoing means.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tunnel/undo_journal.h"

namespace higgs::vpn {

struct ResolvConfFile {
  enum class Kind { kAbsent, kFile, kLink };
  Kind kind = Kind::kAbsent;
  std::string content;                ///< of a file
  std::filesystem::path link_target;  ///< of a link, as it is written there

  static Result<ResolvConfFile> look(const std::filesystem::path& path);
};

inline constexpr const char* kResolvConfUndoKind = "resolv-conf";
tunnel::UndoStep undo_step_of(const std::filesystem::path& path, const ResolvConfFile& before);
/// Puts back what the step says, unless somebody else has written the file since.
Result<void> undo_resolv_conf(const tunnel::UndoStep& step);

/// Overwrites an existing file, keeping inode, owner and mode, and syncs it. Creates it if it is absent.
Result<void> write_in_place(const std::filesystem::path& path, std::string_view content);
/// Puts a file in the place of whatever bears the name, a symlink itself and not what it points to.
Result<void> replace_by_file(const std::filesystem::path& path, std::string_view content);

}  // namespace higgs::vpn
