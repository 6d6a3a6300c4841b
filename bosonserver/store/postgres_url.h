// Where a PostgreSQL is and who we are there: postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full&…, with every
// parameter that libpq knows, also several hosts. The password never stands in it: URLs are shown and logged.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace higgs::boson {

bool is_postgres_url(std::string_view url);
/// What is wrong with it, as the end of a sentence, without any part of it.
std::optional<std::string> fault_of_postgres_url(const std::string& url);

/// Which of the URL's hosts will do, where it does not say so itself.
enum class PostgresRole {
  kPrimary,  ///< one that takes writes
  kReplica,  ///< one that follows another
};

/// What libpq is told: the URL's parameters, ours where it leaves them open, and the password, which is read from its
/// file each time, so that a new one needs no restart. Throws std::runtime_error.
SecretString postgres_connection_string(const std::string& url,
                                        const std::optional<std::filesystem::path>& password_file,
                                        PostgresRole role = PostgresRole::kPrimary);

}  // namespace higgs::boson
