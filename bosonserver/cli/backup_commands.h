// `bosonserver backup` and `bosonserver restore`: copies of the embedded store. Both throw std::runtime_error with a
// sentence for people.
#pragma once

#include <filesystem>

#include "bosonserver/server/settings.h"

namespace higgs::boson {

/// Also while a server runs. The keys of the state directory are not in it.
int backup_store(const ServerSettings& settings, const std::filesystem::path& file);
/// While no server runs.
int restore_store(const ServerSettings& settings, const std::filesystem::path& file);

}  // namespace higgs::boson
