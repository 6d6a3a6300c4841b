// Copies of an SQLite store: one whole file each, taken while a server runs, and checked.
#pragma once

#include <filesystem>

namespace higgs::boson {

/// Makes `to` (mode 0600), whole or not at all. Throws std::runtime_error: `to` is there already, or `from` is no sound
/// store of ours.
void copy_sqlite(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace higgs::boson
