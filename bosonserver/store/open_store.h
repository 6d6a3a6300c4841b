// Which store a URL means, and opening it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bosonserver/store/sql_database.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

struct StoreSettings {
  std::string url;  ///< sqlite:PATH
};

/// What is wrong with a URL, as the end of a sentence.
std::optional<std::string> fault_of_store_url(std::string_view url);

/// Both throw std::runtime_error where the store cannot be used.
std::unique_ptr<SqlDatabase> open_database(const StoreSettings& settings);
/// Brings its tables up to date.
std::unique_ptr<Store> open_store(const StoreSettings& settings);

}  // namespace higgs::boson
