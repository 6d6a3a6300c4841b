#include "bosonserver/store/open_store.h"

#include <stdexcept>

#include "bosonserver/store/sql_store.h"
#include "bosonserver/store/sqlite_database.h"

namespace higgs::boson {
namespace {

constexpr std::string_view kSqlite = "sqlite:";

}  // namespace

std::optional<std::string> fault_of_store_url(std::string_view url) {
  if (url.starts_with(kSqlite) && url.size() > kSqlite.size()) return std::nullopt;
  return "must be sqlite:PATH";
}

std::unique_ptr<SqlDatabase> open_database(const StoreSettings& settings) {
  if (const auto fault = fault_of_store_url(settings.url)) throw std::runtime_error("the store's URL " + *fault);
  return std::make_unique<SqliteDatabase>(settings.url.substr(kSqlite.size()));
}

std::unique_ptr<Store> open_store(const StoreSettings& settings) {
  auto database = open_database(settings);
  database->migrate();
  return std::make_unique<SqlStore>(std::move(database));
}

}  // namespace higgs::boson
