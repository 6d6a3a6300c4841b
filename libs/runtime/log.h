// Logging for people and machines: a sentence, and named fields behind it.
//
//   log::info("relay link is up", {{"server", host}, {"channel", 7}});
//
// Text form for a terminal or the journal, JSON lines for collectors. Thread-safe. Secrets have no formatter and cannot
// be passed. Addresses and ids are strings; numbers and bools keep their type in JSON.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace higgs::runtime::log {

enum class Level { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class Format { kText, kJson };

std::optional<Level> parse_level(std::string_view name);

struct Options {
  Level level = Level::kInfo;
  Format format = Format::kText;
  std::string program;  ///< name in each JSON line
};
void configure(const Options& options);
void set_level(Level level);
bool enabled(Level level) noexcept;

struct Field {
  using Value = std::variant<std::string, std::int64_t, std::uint64_t, double, bool>;
  Field(std::string_view n, std::string_view v) : name(n), value(std::string(v)) {}
  Field(std::string_view n, const char* v) : name(n), value(std::string(v)) {}
  Field(std::string_view n, const std::string& v) : name(n), value(v) {}
  Field(std::string_view n, bool v) : name(n), value(v) {}
  template <class T>
  requires std::is_arithmetic_v<T> &&(!std::is_same_v<T, bool>)Field(std::string_view n, T v) : name(n) {
    if constexpr (std::is_floating_point_v<T>)
      value = static_cast<double>(v);
    else if constexpr (std::is_signed_v<T>)
      value = static_cast<std::int64_t>(v);
    else
      value = static_cast<std::uint64_t>(v);
  }
  std::string_view name;
  Value value;
};
using Fields = std::initializer_list<Field>;

/// Fields of every line that this thread writes while it lives, such as the request that it is about; a line that names
/// one of them itself has its own. One inside another hides it.
class Scope {
 public:
  explicit Scope(std::vector<Field> fields);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  const std::vector<Field> fields_;
  const Scope* const outer_;
  friend void write(Level level, std::string_view sentence, Fields fields);
};

/// Lines at warn and error that were written, or would have been but for the level, since the start.
struct Counts {
  std::uint64_t warnings = 0, errors = 0;
};
Counts counts() noexcept;

void write(Level level, std::string_view sentence, Fields fields);
inline void trace(std::string_view s, Fields f = {}) { write(Level::kTrace, s, f); }
inline void debug(std::string_view s, Fields f = {}) { write(Level::kDebug, s, f); }
inline void info(std::string_view s, Fields f = {}) { write(Level::kInfo, s, f); }
inline void warn(std::string_view s, Fields f = {}) { write(Level::kWarn, s, f); }
inline void error(std::string_view s, Fields f = {}) { write(Level::kError, s, f); }

}  // namespace higgs::runtime::log
