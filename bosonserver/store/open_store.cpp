#include "bosonserver/store/open_store.h"

#include <stdexcept>

#include "bosonserver/store/postgres_database.h"
#include "bosonserver/store/postgres_url.h"
#include "bosonserver/store/replicated_database.h"
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

std::optional<std::string> fault_of_replica_url(const std::string& replica_url, const std::string& store_url) {
  if (!is_postgres_url(store_url)) return "is of no use to a store that is not in PostgreSQL";
  if (!is_postgres_url(replica_url)) return "must be postgresql://USER@HOST/DATABASE";
  return fault_of_postgres_url(replica_url);
}

std::optional<std::filesystem::path> store_file(const std::string& url) {
  if (!url.starts_with(kSqlite) || url.size() == kSqlite.size()) return std::nullopt;
  return url.substr(kSqlite.size());
}

std::unique_ptr<SqlDatabase> open_database(const StoreSettings& settings) {
  if (const auto fault = fault_of_store_url(settings.url)) throw std::runtime_error("the store's URL " + *fault);
  if (settings.replica_url)
    if (const auto fault = fault_of_replica_url(*settings.replica_url, settings.url))
      throw std::runtime_error("the URL of the store's replica " + *fault);
  if (const auto file = store_file(settings.url)) return std::make_unique<SqliteDatabase>(*file);
  PostgresDatabase::Settings primary{settings.url, settings.password_file, settings.connections};
  if (!settings.replica_url) return std::make_unique<PostgresDatabase>(std::move(primary));
  PostgresDatabase::Settings replica{*settings.replica_url, settings.password_file, settings.connections,
                                     PostgresRole::kReplica};
  return std::make_unique<ReplicatedDatabase>(std::move(primary), std::move(replica));
}

std::unique_ptr<Store> open_store(const StoreSettings& settings) {
  auto database = open_database(settings);
  database->migrate();
  return std::make_unique<SqlStore>(std::move(database));
}

}  // namespace higgs::boson
