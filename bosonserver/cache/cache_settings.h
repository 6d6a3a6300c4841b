// What an operator may set about the cache.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/secret.h"
#include "bosonserver/cache/redis_stream.h"
#include "bosonserver/cache/redis_url.h"
#include "config/schema.h"

namespace higgs::boson {

/// "memory", or the URL of a Redis. Any text is one, so that no error repeats it: it may hold a password.
struct CacheLocation {
  std::optional<RedisUrl> redis;
  std::optional<ErrorCode> problem;

  static CacheLocation parse(std::string_view text);
  /// For people.
  std::string to_string() const;
};

struct CacheSettings {
  CacheLocation location;
  std::optional<SecretString> password;
  std::optional<std::filesystem::path> password_file;
  std::optional<std::filesystem::path> ca_file;  ///< unset: the system's certificates
  std::string prefix = "higgs:";

  void declare(config::Schema& schema);
  /// Of a Redis, which there must be. Reads the password's file: throws std::runtime_error if it cannot.
  RedisOptions redis_options() const;
};

}  // namespace higgs::boson

namespace higgs::config {

template <>
struct Value<boson::CacheLocation> {
  static constexpr Kind kKind = Kind::kString;
  static std::string expected() { return "\"memory\" or the URL of a Redis"; }
  static std::optional<boson::CacheLocation> parse(std::string_view text) { return boson::CacheLocation::parse(text); }
  static std::string print(const boson::CacheLocation& value) { return value.to_string(); }
};

}  // namespace higgs::config
