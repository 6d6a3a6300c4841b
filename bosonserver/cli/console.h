// What the commands work with that act on the store, also while servers run on it. Every act is in the audit, with the
// actor "console".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "bosonserver/server/settings.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

inline constexpr std::string_view kConsole = "console";

/// What a store answered, or std::runtime_error with a sentence for people.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

class Console {
 public:
  using Json = nlohmann::ordered_json;

  /// Opens the store. Throws std::runtime_error.
  Console(const ServerSettings& settings, bool json);

  const ServerSettings& settings() const noexcept { return settings_; }
  Store& store() noexcept { return *store_; }
  RandomSource& random() noexcept { return random_; }
  std::int64_t now() const;

  /// Throws where there is no such user; `name` as people type it.
  UserRecord user(const std::string& name);
  /// Ids as people type them.
  template <class Id>
  static Id id(const std::string& text, const char* what) {
    const auto parsed = parse_id<Id>(text);
    if (!parsed) throw std::runtime_error("'" + text + "' is no id of a " + what);
    return *parsed;
  }

  /// What the command is about to do: it is in the audit from here on, whatever becomes of it.
  void begin(std::string_view action, std::string_view object);
  /// What became of it: to be called as soon as it is done, before anything else that can fail.
  void audit(std::string_view outcome);
  /// The command failed. Writes that where an act has begun and is not in the audit.
  void audit_failure(std::string_view why);
  /// To standard output: the JSON with --json, else the text. The exit status of success.
  int answer(const Json& json, std::string_view text) const;

 private:
  struct Act {
    std::string action, object;
  };
  Result<void> write(const Act& act, std::string outcome);

  const ServerSettings& settings_;
  const bool json_;
  SystemRandom random_;
  std::unique_ptr<Store> store_;
  std::optional<Act> act_;  ///< that is not in the audit yet
};

/// "2026-11-28 17:05:00", UTC.
std::string time_text(std::int64_t seconds);
/// Rows under their headings, as wide as needed. Each row has as many cells as there are headings.
std::string table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows);

}  // namespace higgs::boson
