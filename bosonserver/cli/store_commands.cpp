// What is done to the store as a whole: its tables, and copies of it.
#include <iostream>
#include <span>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "bosonserver/cli/commands.h"
#include "bosonserver/store/open_store.h"
#include "bosonserver/store/sqlite_backup.h"
#include "runtime/files.h"

namespace higgs::boson {
namespace {

void make_state_directory(const ServerSettings& settings) {
  if (const auto made = runtime::make_private_directory(settings.state_dir); !made)
    throw std::runtime_error("cannot use the state directory " + settings.state_dir.string() + ": " +
                             made.error().message());
}

std::filesystem::path sqlite_file(const ServerSettings& settings) {
  const auto file = store_file(settings.store_settings().url);
  if (!file) throw std::runtime_error("this store is PostgreSQL: use pg_dump and pg_restore, see docs/operations.md");
  return *file;
}

void print_migrations(std::size_t version, std::span<const Migration> all, bool json) {
  if (version > all.size()) throw std::runtime_error(kNewerStore);
  if (json) {
    auto pending = nlohmann::json::array();
    for (const auto& migration : all.subspan(version))
      pending.push_back({{"number", migration.number}, {"name", migration.name}});
    std::cout << nlohmann::json{{"version", version}, {"newest", all.size()}, {"pending", pending}}.dump() << '\n';
    return;
  }
  std::cout << "version " << version << " of " << all.size() << (version == all.size() ? ": up to date\n" : "\n");
  for (const auto& migration : all.subspan(version))
    std::cout << "missing " << migration.number << ' ' << migration.name << '\n';
}

}  // namespace

int migration_status(const ServerSettings& settings, bool json) {
  const auto store = settings.store_settings();
  const auto file = store_file(store.url);
  // Looking must not make one.
  if (file && !std::filesystem::exists(*file)) {
    print_migrations(0, sqlite_migrations(), json);
    return 0;
  }
  const auto database = open_database(store);
  print_migrations(database->version(), database->migrations(), json);
  return 0;
}

int migrate_up(const ServerSettings& settings, bool json) {
  const auto store = settings.store_settings();
  if (store_file(store.url)) make_state_directory(settings);
  const auto database = open_database(store);
  database->migrate();
  print_migrations(database->version(), database->migrations(), json);
  return 0;
}

int backup_store(const ServerSettings& settings, const std::filesystem::path& file) {
  copy_sqlite(sqlite_file(settings), file);
  std::cout << "wrote " << file.string() << "; the keys beside the store are not in it\n";
  return 0;
}

int restore_store(const ServerSettings& settings, const std::filesystem::path& file) {
  const auto store = sqlite_file(settings);
  make_state_directory(settings);
  const auto lock = runtime::LockFile::acquire(settings.state_dir / "lock");
  if (!lock) throw std::runtime_error("a server uses this store: stop it first");
  copy_sqlite(file, store);
  std::cout << "restored " << store.string() << '\n';
  return 0;
}

}  // namespace higgs::boson
