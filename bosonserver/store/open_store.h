// Which store a URL means, and opening it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "bosonserver/store/sql_database.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

struct StoreSettings {
  std::string url;                                          ///< sqlite:PATH, or one of PostgreSQL
  std::optional<std::filesystem::path> password_file = {};  ///< of PostgreSQL
  std::size_t connections = 4;                              ///< to PostgreSQL, at most; as many to the replica
  std::optional<std::string> replica_url = {};              ///< a read replica of that PostgreSQL
};

/// What is wrong with a URL, as the end of a sentence. Never holds a part of it: a password might be.
std::optional<std::string> fault_of_store_url(const std::string& url);
/// The same of a replica's URL, of that store.
std::optional<std::string> fault_of_replica_url(const std::string& replica_url, const std::string& store_url);
/// The file of a store that is one.
std::optional<std::filesystem::path> store_file(const std::string& url);

/// Both throw std::runtime_error where the store cannot be used.
std::unique_ptr<SqlDatabase> open_database(const StoreSettings& settings);
/// Brings its tables up to date.
std::unique_ptr<Store> open_store(const StoreSettings& settings);

}  // namespace higgs::boson
