// Options of a program, declared once: bound to the fields of a settings struct, and read from a TOML file, the
// environment and flags, the later winning over the earlier; the field's value before load() is the default.
//
//   struct Settings { Endpoint listen = …; std::chrono::seconds interval{15}; std::vector<IpPrefix> deny; Mode mode; };
//   config::Schema schema;
//   schema.add("listen", settings.listen, {.description = "where to listen"});
//   schema.add("interval", settings.interval, {.description = "between heartbeats"}, config::in_range(5s, 300s));
//   schema.add("egress.deny", settings.deny, {.description = "never forwarded"});        // [egress] deny = ["…", "…"]
//   schema.add_enum("mode", settings.mode, {{"a", Mode::kA}, {"b", Mode::kB}}, {.description = "how"});
//   schema.bind_flags(*app.add_subcommand("run"));                                       // --listen --interval …
//   const auto problems = schema.load(sources);                                          // runtime/config_loader.h
//
// "egress.deny" is `deny` in the table [egress], HIGGS_EGRESS_DENY, and --egress-deny; '_' in a key is '-' in a flag.
// A bool has --x and --no-x. A list is a TOML array, and comma-separated (or repeated) in flags and the environment.
// Types: see value.h; std::optional<T> of each (unset stays nullopt), std::vector<T> of each.
//
// Pure: reads the texts handed to it. One thread. The settings struct and the schema must outlive the parsed CLI::App.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/problem.h"
#include "config/value.h"

namespace CLI {  // NOLINT(readability-identifier-naming): as its library spells it
class App;
}

namespace higgs::config {

/// A configuration file may have at most this many bytes.
inline constexpr std::size_t kMaxFileBytes = 1024 * 1024;

struct OptionInfo {
  std::string description = {};
  std::optional<std::string> flag = {};  ///< instead of the one made from the key: "--listen" or "-l,--listen"
  std::optional<std::string> env = {};   ///< instead of the one made from the key
  bool has_flag = true;                  ///< secrets never have one: command lines are visible to everyone
  bool secret = false;                   ///< hidden when printed; implied by SecretString
  bool required = false;                 ///< a problem if no source gives it
};

/// What is wrong with a value that parsed, or nullopt: "must be …".
template <class T>
using Check = std::function<std::optional<std::string>(const T&)>;

/// Both ends included.
template <class L, class H>
auto in_range(L lowest, H highest) {
  return [lowest, highest](const auto& value) -> std::optional<std::string> {
    using T = std::decay_t<decltype(value)>;
    const auto low = static_cast<T>(lowest);
    const auto high = static_cast<T>(highest);
    if (value >= low && value <= high) return std::nullopt;
    return "must be from " + Value<T>::print(low) + " to " + Value<T>::print(high);
  };
}

struct Sources {
  std::optional<std::string> file_text;
  std::string file_name = "configuration";                                      ///< for messages
  std::function<std::optional<std::string>(const std::string& name)> variable;  ///< unset: no environment
};

class Schema {
 public:
  Schema();
  ~Schema();
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;

  template <class T>
  void add(std::string key, T& field, OptionInfo info, std::type_identity_t<Check<T>> check = {});
  template <class T>
  void add(std::string key, std::optional<T>& field, OptionInfo info, std::type_identity_t<Check<T>> check = {});
  template <class T>
  void add(std::string key, std::vector<T>& field, OptionInfo info, std::type_identity_t<Check<T>> check = {});
  template <class E>
  void add_enum(std::string key, E& field, std::vector<std::pair<std::string, E>> names, OptionInfo info);
  /// Called when every value is read and well: the problem of fields that contradict each other, with its key.
  void add_rule(std::function<std::optional<Problem>()> rule);

  /// Adds every option to the command; what is given there is kept for load().
  void bind_flags(CLI::App& command);
  /// Sets the fields. Empty: all is well. Otherwise the fields hold what could be read.
  Problems load(const Sources& sources);
  /// What load() arrived at, as TOML that load() reads again, each value with its description; secrets are hidden.
  std::string effective_toml() const;
  /// Whether file, environment or a flag gave this key.
  bool given(std::string_view key) const;
  /// Whether a flag gave it, which everybody on the machine can see.
  bool given_by_flag(std::string_view key) const;

 private:
  using Texts = std::vector<std::string>;
  struct Option {
    std::string key, flag, env;
    OptionInfo info;
    Kind kind = Kind::kString;
    bool list = false;
    std::string from;  ///< where the present value comes from; empty: the default
    /// Sets the field; a problem's message, or nullopt.
    std::function<std::optional<std::string>(const Texts&)> set;
    /// The field's values; nullopt where it is unset.
    std::function<std::optional<Texts>()> get;
    std::optional<Texts> flag_texts;
  };
  struct FileReader;

  Option& declare(std::string key, OptionInfo info, Kind kind, bool list);
  Option* find(std::string_view key);
  void apply(Option& option, const Texts& texts, const std::string& where, Problems& problems);
  void load_file(const Sources& sources, Problems& problems);
  static std::string wrong_value(const std::string& text, const std::string& expected);
  /// One value of an option: parsed and checked into `out`, or the message.
  template <class T>
  static std::optional<std::string> read(const std::string& text, const Check<T>& check, T& out) {
    auto value = Value<T>::parse(text);
    if (!value) return wrong_value(text, Value<T>::expected());
    if (check) {
      if (auto message = check(*value)) return message;
    }
    out = std::move(*value);
    return std::nullopt;
  }
  template <class T>
  Option& declare_of(std::string&& key, OptionInfo&& info, bool list) {
    if constexpr (std::is_same_v<T, SecretString>) info.secret = true;
    return declare(std::move(key), std::move(info), Value<T>::kKind, list);
  }

  std::vector<std::unique_ptr<Option>> options_;
  std::vector<std::function<std::optional<Problem>()>> rules_;
};

template <class T>
void Schema::add(std::string key, T& field, OptionInfo info, std::type_identity_t<Check<T>> check) {
  auto& option = declare_of<T>(std::move(key), std::move(info), false);
  option.set = [&field, check](const Texts& texts) { return read<T>(texts.back(), check, field); };
  option.get = [&field] { return std::optional<Texts>({Value<T>::print(field)}); };
}

template <class T>
void Schema::add(std::string key, std::optional<T>& field, OptionInfo info, std::type_identity_t<Check<T>> check) {
  auto& option = declare_of<T>(std::move(key), std::move(info), false);
  option.set = [&field, check](const Texts& texts) {
    T value{};
    auto message = read<T>(texts.back(), check, value);
    if (!message) field = std::move(value);
    return message;
  };
  option.get = [&field] { return field ? std::optional<Texts>({Value<T>::print(*field)}) : std::nullopt; };
}

template <class T>
void Schema::add(std::string key, std::vector<T>& field, OptionInfo info, std::type_identity_t<Check<T>> check) {
  auto& option = declare_of<T>(std::move(key), std::move(info), true);
  option.set = [&field, check](const Texts& texts) -> std::optional<std::string> {
    std::vector<T> values(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      T value{};
      if (auto message = read<T>(texts[i], check, value)) return message;
      values[i] = std::move(value);
    }
    field = std::move(values);
    return std::nullopt;
  };
  option.get = [&field] {
    Texts texts;
    for (const auto& value : field) texts.push_back(Value<T>::print(value));
    return std::optional<Texts>(std::move(texts));
  };
}

template <class E>
void Schema::add_enum(std::string key, E& field, std::vector<std::pair<std::string, E>> names, OptionInfo info) {
  std::string expected = "one of";
  for (const auto& [name, value] : names) expected += (name == names.front().first ? " \"" : ", \"") + name + "\"";
  auto& option = declare(std::move(key), std::move(info), Kind::kString, false);
  option.set = [&field, names, expected](const Texts& texts) -> std::optional<std::string> {
    for (const auto& [name, value] : names) {
      if (name != texts.back()) continue;
      field = value;
      return std::nullopt;
    }
    return wrong_value(texts.back(), expected);
  };
  option.get = [&field, names]() -> std::optional<Texts> {
    for (const auto& [name, value] : names) {
      if (value == field) return Texts{name};
    }
    return std::nullopt;
  };
}

}  // namespace higgs::config
