// What each command does. All throw std::runtime_error with a sentence for people.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "api/common.h"
#include "bosonserver/server/settings.h"

namespace higgs::boson {

/// Serves until SIGTERM or SIGINT.
int run_server(const ServerSettings& settings);

struct NewUser {
  std::string name;
  api::Role role = api::Role::kUser;
  std::optional<std::string> password_file;  ///< "-": standard input; unset: HIGGS_PASSWORD, or asked for
};
/// Works while a server runs on the same state directory.
int add_user(const ServerSettings& settings, const NewUser& user);
int list_users(const ServerSettings& settings);
/// Prints which changes of the store's tables are applied and which are missing; changes nothing.
int migration_status(const ServerSettings& settings, bool json);
int migrate_up(const ServerSettings& settings, bool json);
/// Of SQLite, also while a server runs. Overwrites nothing.
int backup_store(const ServerSettings& settings, const std::filesystem::path& file);
/// While no server runs, and where no store is.
int restore_store(const ServerSettings& settings, const std::filesystem::path& file);
int print_pin(const ServerSettings& settings);

}  // namespace higgs::boson
