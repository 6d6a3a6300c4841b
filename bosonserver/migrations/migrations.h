// The numbered, forward-only changes of the store's tables, embedded from migrations/*/NNNN_name.sql at build time. A
// number means the same tables for each kind of store.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace higgs::boson {

struct Migration {
  std::size_t number;  ///< from 1, without gaps
  std::string_view name;
  std::string_view sql;
};
std::span<const Migration> sqlite_migrations();
std::span<const Migration> postgresql_migrations();

}  // namespace higgs::boson
