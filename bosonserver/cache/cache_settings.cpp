#include "bosonserver/cache/cache_settings.h"

#include <algorithm>
#include <stdexcept>

#include "runtime/files.h"

namespace higgs::boson {
namespace {

constexpr std::string_view kMemory = "memory";
constexpr std::size_t kMaxPrefixBytes = 64;
constexpr std::size_t kMaxPasswordFileBytes = 4'096;

std::optional<std::string> location_problem(const CacheLocation& location) {
  if (!location.problem) return std::nullopt;
  return "must be \"memory\" or redis://[user[:password]@]host[:port][/database] (rediss:// for TLS): the URL " +
         location.problem->message();
}

std::optional<std::string> prefix_problem(const std::string& prefix) {
  const bool good = !prefix.empty() && prefix.size() <= kMaxPrefixBytes &&
                    std::all_of(prefix.begin(), prefix.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (good) return std::nullopt;
  return "must have from 1 to 64 printable characters without spaces";
}

}  // namespace

CacheLocation CacheLocation::parse(std::string_view text) {
  if (text == kMemory) return {};
  auto url = RedisUrl::parse(text);
  if (!url) return {std::nullopt, url.error()};
  return {std::move(*url), std::nullopt};
}

std::string CacheLocation::to_string() const {
  if (problem) return "(not valid)";
  return redis ? redis->to_string() : std::string(kMemory);
}

void CacheSettings::declare(config::Schema& schema) {
  schema.add(
      "cache", location,
      {.description = "memory, or redis://[user@]host[:port][/database] (rediss:// for TLS) that the servers of a "
                      "cluster share; a password is better kept in cache_password_file"},
      location_problem);
  schema.add("cache_password", password, {.description = "of Redis"});
  schema.add("cache_password_file", password_file, {.description = "file that holds the password of Redis"});
  schema.add("cache_ca_file", ca_file,
             {.description = "PEM file of who signed the certificate of Redis; default: the system's"});
  schema.add("cache_prefix", prefix, {.description = "of all keys in Redis"}, prefix_problem);
  schema.add_rule([this, &schema]() -> std::optional<config::Problem> {
    if (location.problem) return std::nullopt;  // said already
    const bool in_url = location.redis && !location.redis->password.empty();
    if (in_url && schema.given_by_flag("cache"))
      return config::Problem{"", "cache", "a password in a flag is seen by everybody: use cache_password_file"};
    if (int{in_url} + int{password.has_value()} + int{password_file.has_value()} > 1)
      return config::Problem{"", "cache_password", "the password of Redis is given more than once"};
    if ((password || password_file) && !location.redis)
      return config::Problem{"", "cache_password", "is for a cache in Redis"};
    if (ca_file && (!location.redis || !location.redis->tls))
      return config::Problem{"", "cache_ca_file", "is for a cache at rediss://"};
    return std::nullopt;
  });
}

RedisOptions CacheSettings::redis_options() const {
  RedisOptions options{location.redis.value()};
  if (password) options.url.password = *password;
  if (password_file) {
    auto text = runtime::read_file(*password_file, kMaxPasswordFileBytes);
    if (!text) throw std::runtime_error("cannot read " + password_file->string() + ": " + text.error().message());
    while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
    if (text->empty()) throw std::runtime_error(password_file->string() + " holds no password");
    options.url.password = SecretString(*text);
    secure_wipe(std::as_writable_bytes(std::span(text->data(), text->size())));
  }
  if (ca_file) options.trust.ca_file = ca_file->string();
  return options;
}

}  // namespace higgs::boson
