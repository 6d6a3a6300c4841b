#include "bosonserver/store/open_store.h"

#include <stdexcept>

#include "bosonserver/store/postgres_database.h"
#include "bosonserver/store/postgres_url.h"
#include "bosonserver/store/sql_store.h"
#include "bosonserver/store/sqlite_database.h"

namespace higgs::boson {
namespace {

constexpr std::string_view kSqlite = "sqlite:";

}  // namespace

std::optional<std::string> fault_of_store_url(const std::string& url) {
  if (is_postgres_url(url)) return fault_of_postgres_url(url);
  if (store_file(url)) return std::nullopt;
  return "must be sqlite:PATH or postgresql://USER@HOST/DATABASE";
}

std::optional<std::filesystem::path> store_file(const std::string& url) {
  if (!url.starts_with(kSqlite) || url.size() == kSqlite.size()) return std::nullopt;
  return url.substr(kSqlite.size());
}

std::unique_ptr<SqlDatabase> open_database(const StoreSettings& settings) {
  if (const auto fault = fault_of_store_url(settings.url)) throw std::runtime_error("the store's URL " + *fault);
  if (const auto file = store_file(settings.url)) return std::make_unique<SqliteDatabase>(*file);
  return std::make_unique<PostgresDatabase>(
      PostgresDatabase::Settings{settings.url, settings.password_file, settings.connections});
}

std::unique_ptr<Store> open_store(const StoreSettings& settings) {
  auto database = open_database(settings);
  database->migrate();
  return std::make_unique<SqlStore>(std::move(database));
}

}  // namespace higgs::boson
