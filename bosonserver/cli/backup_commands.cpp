#include "bosonserver/cli/backup_commands.h"

#include <iostream>
#include <stdexcept>

#include "bosonserver/cli/console.h"
#include "bosonserver/store/open_store.h"
#include "bosonserver/store/sqlite_backup.h"
#include "runtime/files.h"

namespace higgs::boson {
namespace {

std::filesystem::path sqlite_file(const ServerSettings& settings) {
  const auto file = store_file(settings.store_settings().url);
  if (!file) throw std::runtime_error("this store is PostgreSQL: use pg_dump and pg_restore, see docs/operations.md");
  return *file;
}

}  // namespace

int backup_store(const ServerSettings& settings, const std::filesystem::path& file) {
  copy_sqlite(sqlite_file(settings), file);
  std::cout << "wrote " << file.string() << "; the keys beside the store are not in it\n";
  return 0;
}

int restore_store(const ServerSettings& settings, const std::filesystem::path& file) {
  const auto store = sqlite_file(settings);
  must(runtime::make_private_directory(settings.state_dir));
  const auto lock = runtime::LockFile::acquire(settings.state_dir / "lock");
  if (!lock) throw std::runtime_error("a server uses this store: stop it first");
  copy_sqlite(file, store);
  std::cout << "restored " << store.string() << '\n';
  return 0;
}

}  // namespace higgs::boson
