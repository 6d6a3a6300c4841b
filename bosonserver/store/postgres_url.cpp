#include "bosonserver/store/postgres_url.h"

#include <array>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>

#include <libpq-fe.h>

#include "runtime/files.h"

namespace higgs::boson {
namespace {

// libpq's documentation, "Parameter Key Words". The first limits how long a dead server is dialled for each of its
// addresses (it takes no less), the others how long a dead one goes unnoticed between our calls.
constexpr std::array<std::pair<const char*, const char*>, 6> kDefaults{{{"connect_timeout", "2"},
                                                                        {"keepalives_idle", "10"},
                                                                        {"keepalives_interval", "3"},
                                                                        {"keepalives_count", "3"},
                                                                        {"tcp_user_timeout", "5000"},
                                                                        {"application_name", "bosonserver"}}};
constexpr std::size_t kLongestPassword = 1024;

using Parameters = std::map<std::string, std::string>;

std::optional<Parameters> parse(const std::string& url) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(PQconninfoParse(url.c_str(), &message),
                                                                            PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> owned(message, PQfreemem);
  if (!parsed) return std::nullopt;
  Parameters parameters;
  for (const auto* option = parsed.get(); option->keyword != nullptr; ++option)
    if (option->val != nullptr) parameters[option->keyword] = option->val;
  return parameters;
}

std::string in_quotes(std::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string read_password(const std::filesystem::path& file) {
  auto text = runtime::read_file(file, kLongestPassword);
  if (!text)
    throw std::runtime_error("cannot read the store's password file " + file.string() + ": " + text.error().message());
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (text->empty()) throw std::runtime_error("the store's password file " + file.string() + " is empty");
  return std::move(*text);
}

}  // namespace

bool is_postgres_url(std::string_view url) {
  return url.starts_with("postgresql://") || url.starts_with("postgres://");
}

std::optional<std::string> fault_of_postgres_url(const std::string& url) {
  const auto parameters = parse(url);
  if (!parameters) return "is not a URL of PostgreSQL";
  if (parameters->contains("password") || parameters->contains("sslpassword"))
    return "must not hold a password: give store_password_file, or the variable PGPASSWORD";
  return std::nullopt;
}

SecretString postgres_connection_string(const std::string& url,
                                        const std::optional<std::filesystem::path>& password_file, PostgresRole role) {
  auto parameters = parse(url);
  if (!parameters) throw std::runtime_error("the store's URL is not one of PostgreSQL");
  for (const auto& [key, value] : kDefaults) parameters->try_emplace(key, value);
  parameters->try_emplace("target_session_attrs", role == PostgresRole::kReplica ? "standby" : "read-write");
  std::string text;
  for (const auto& [key, value] : *parameters) text += key + "=" + in_quotes(value) + " ";
  if (password_file) text += "password=" + in_quotes(read_password(*password_file));
  return SecretString(std::move(text));
}

}  // namespace higgs::boson
