#include "bosonserver/cli/migrate_commands.h"

#include <filesystem>
#include <iostream>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "bosonserver/cli/console.h"
#include "bosonserver/store/open_store.h"
#include "runtime/files.h"

namespace higgs::boson {
namespace {

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
  if (store_file(store.url)) must(runtime::make_private_directory(settings.state_dir));
  const auto database = open_database(store);
  database->migrate();
  print_migrations(database->version(), database->migrations(), json);
  return 0;
}

}  // namespace higgs::boson
