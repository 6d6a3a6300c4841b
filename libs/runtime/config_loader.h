// Where a schema's texts come from: the file, and this process's environment.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "config/schema.h"

namespace higgs::runtime {

/// `file`: from --config (then it must be there), else HIGGS_CONFIG (likewise), else /etc/higgs/PROGRAM.toml if that
/// is there. Flags must be parsed already (Schema::bind_flags).
config::Problems load_config(config::Schema& schema, const std::string& program,
                             const std::optional<std::filesystem::path>& file);

}  // namespace higgs::runtime
