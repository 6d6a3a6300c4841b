#include "config/schema.h"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/assert.h"
#include "config/nearest.h"

namespace higgs::config {
namespace {

std::string replaced(std::string text, char from, char to) {
  std::replace(text.begin(), text.end(), from, to);
  return text;
}

std::string flag_of(const std::string& key) { return "--" + replaced(replaced(key, '.', '-'), '_', '-'); }

std::string env_of(const std::string& key) {
  auto name = "HIGGS_" + replaced(replaced(key, '.', '_'), '-', '_');
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return name;
}

/// Comma-separated; blanks around an item are cut; an empty text is an empty list.
std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    auto item = text.substr(0, comma);
    while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ') item.remove_suffix(1);
    if (!item.empty()) items.emplace_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (code < 0x20 || code == 0x7f)
      out += fmt::format("\\u{:04X}", code);
    else
      out += c;
  }
  return out + "\"";
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kInteger:
      return "a whole number without quotes";
    case Kind::kFloat:
      return "a number without quotes";
    case Kind::kBool:
      return "true or false without quotes";
    case Kind::kString:
      break;
  }
  return "a text in quotes";
}

/// The scalar as text if its TOML type fits the option's.
std::optional<std::string> scalar_text(const toml::node& node, Kind kind) {
  if (kind == Kind::kString && node.is_string()) return node.as_string()->get();
  if (kind == Kind::kBool && node.is_boolean()) return node.as_boolean()->get() ? "true" : "false";
  if ((kind == Kind::kInteger || kind == Kind::kFloat) && node.is_integer()) {
    return std::to_string(node.as_integer()->get());
  }
  if (kind == Kind::kFloat && node.is_floating_point()) return fmt::format("{}", node.as_floating_point()->get());
  return std::nullopt;
}

/// Descriptions may have several lines; in TOML each needs its own mark.
std::string comment(const std::string& text) {
  std::string out = "# ";
  for (const char c : text) out += c == '\n' ? std::string("\n# ") : std::string(1, c);
  return out + "\n";
}

}  // namespace

std::string to_string(const Problem& problem) {
  std::string text;
  if (!problem.where.empty()) text += problem.where + ": ";
  if (!problem.key.empty()) text += problem.key + ": ";
  return text + problem.message;
}

Schema::Schema() = default;
Schema::~Schema() = default;

std::string Schema::wrong_value(const std::string& text, const std::string& expected) {
  return toml_string(std::string_view(text).substr(0, 80)) + " is not " + expected;
}

Schema::Option& Schema::declare(std::string key, OptionInfo info, Kind kind, bool list) {
  HIGGS_ASSERT(find(key) == nullptr);
  auto option = std::make_unique<Option>();
  option->flag = info.flag.value_or(flag_of(key));
  option->env = info.env.value_or(env_of(key));
  option->key = std::move(key);
  option->info = std::move(info);
  option->kind = kind;
  option->list = list;
  return *options_.emplace_back(std::move(option));
}

Schema::Option* Schema::find(std::string_view key) {
  for (const auto& option : options_) {
    if (option->key == key) return option.get();
  }
  return nullptr;
}

void Schema::add_rule(std::function<std::optional<Problem>()> rule) { rules_.push_back(std::move(rule)); }

bool Schema::given(std::string_view key) const {
  return std::any_of(options_.begin(), options_.end(),
                     [key](const auto& option) { return option->key == key && !option->from.empty(); });
}

bool Schema::given_by_flag(std::string_view key) const {
  return std::any_of(options_.begin(), options_.end(),
                     [key](const auto& option) { return option->key == key && option->flag_texts.has_value(); });
}

void Schema::bind_flags(CLI::App& command) {
  for (const auto& owned : options_) {
    auto* const option = owned.get();
    if (option->info.secret || !option->info.has_flag) continue;
    const auto present = option->get();
    std::string shown;
    for (const auto& text : present.value_or(Texts{})) shown += (shown.empty() ? "" : ",") + text;
    if (option->kind == Kind::kBool && !option->list) {
      const auto stem = option->flag.substr(option->flag.rfind("--") + 2);
      const std::function<void(std::int64_t)> take = [option](std::int64_t count) {
        option->flag_texts = Texts{count > 0 ? "true" : "false"};
      };
      command.add_flag_function(option->flag + ",!--no-" + stem, take, option->info.description)
          ->default_str(shown)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
      continue;
    }
    const std::function<void(const std::vector<std::string>&)> take = [option](const std::vector<std::string>& given) {
      option->flag_texts = Texts{};
      for (const auto& text : given) {
        const auto items = option->list ? split_list(text) : Texts{text};
        option->flag_texts->insert(option->flag_texts->end(), items.begin(), items.end());
      }
    };
    auto* flag = command.add_option_function<std::vector<std::string>>(option->flag, take, option->info.description);
    flag->default_str(shown)->type_name(option->kind == Kind::kString ? "TEXT" : "NUMBER")->expected(1);
    if (option->list) flag->take_all();
  }
}

void Schema::apply(Option& option, const Texts& texts, const std::string& where, Problems& problems) {
  if (texts.empty() && !option.list) {
    problems.push_back({where, option.key, "has no value"});
    return;
  }
  auto message = option.set(texts);
  if (message && option.info.secret) message = "the value is not accepted";
  if (message) problems.push_back({where, option.key, *message});
  option.from = where;
}

/// Walks the parsed file; tables become the dotted part of a key.
struct Schema::FileReader {
  Schema& schema;
  const std::string& file_name;
  Problems& problems;

  std::string where(const toml::node& node) const { return fmt::format("{}:{}", file_name, node.source().begin.line); }

  bool is_table_of_schema(const std::string& key) const {
    return std::any_of(schema.options_.begin(), schema.options_.end(),
                       [&](const auto& option) { return option->key.starts_with(key + "."); });
  }

  void unknown(const std::string& key, std::string_view word, const std::string& at) {
    std::vector<std::string> known;
    for (const auto& option : schema.options_) known.push_back(option->key);
    auto near = nearest_name(key, known);
    // A key of a table written at the top, or in another table.
    for (const auto& name : known) {
      if (!near && name.ends_with("." + std::string(word))) near = name;
    }
    problems.push_back({at, key, near ? "unknown key; did you mean " + *near + "?" : "unknown key"});
  }

  void value(Option& option, const toml::node& node) {
    Texts texts;
    if (option.list && node.is_array()) {
      for (const auto& item : *node.as_array()) {
        const auto text = scalar_text(item, option.kind);
        if (!text) {
          problems.push_back({where(item), option.key, std::string("each item must be ") + name_of(option.kind)});
          return;
        }
        texts.push_back(*text);
      }
    } else if (const auto text = option.list ? std::nullopt : scalar_text(node, option.kind)) {
      texts.push_back(*text);
    } else {
      problems.push_back(
          {where(node), option.key,
           option.list ? std::string("must be a list: [ … ]") : std::string("must be ") + name_of(option.kind)});
      return;
    }
    schema.apply(option, texts, where(node), problems);
  }

  void table(const toml::table& entries, const std::string& prefix) {
    for (const auto& [name, node] : entries) {
      const std::string key = prefix + std::string(name.str());
      if (auto* option = schema.find(key)) {
        value(*option, node);
      } else if (node.is_table() && is_table_of_schema(key)) {
        table(*node.as_table(), key + ".");
      } else {
        unknown(key, name.str(), fmt::format("{}:{}", file_name, name.source().begin.line));
      }
    }
  }
};

void Schema::load_file(const Sources& sources, Problems& problems) {
  if (!sources.file_text) return;
  if (sources.file_text->size() > kMaxFileBytes) {
    problems.push_back({sources.file_name, "", fmt::format("is over {} bytes long", kMaxFileBytes)});
    return;
  }
  try {
    const auto parsed = toml::parse(std::string_view(*sources.file_text));
    FileReader{*this, sources.file_name, problems}.table(parsed, "");
  } catch (const toml::parse_error& error) {
    problems.push_back({fmt::format("{}:{}", sources.file_name, error.source().begin.line), "",
                        std::string("is not TOML: ") + std::string(error.description())});
  }
}

Problems Schema::load(const Sources& sources) {
  Problems problems;
  load_file(sources, problems);
  for (const auto& option : options_) {
    if (sources.variable) {
      if (const auto text = sources.variable(option->env)) {
        apply(*option, option->list ? split_list(*text) : Texts{*text}, "environment " + option->env, problems);
      }
    }
    if (option->flag_texts) {
      apply(*option, *option->flag_texts, "flag " + option->flag.substr(option->flag.rfind("--")), problems);
    }
    if (!option->info.required || !option->from.empty()) continue;
    const auto by_flag = option->info.secret || !option->info.has_flag
                             ? std::string()
                             : " with " + option->flag.substr(option->flag.rfind("--")) + ",";
    problems.push_back(
        {"", option->key,
         "is needed; give it" + by_flag + " as " + option->env + " in the environment, or in the configuration file"});
  }
  if (!problems.empty()) return problems;
  for (const auto& rule : rules_) {
    if (auto problem = rule()) problems.push_back(std::move(*problem));
  }
  return problems;
}

std::string Schema::effective_toml() const {
  const auto render = [](const Option& option) {
    const auto name = option.key.substr(option.key.rfind('.') + 1);  // npos + 1 is 0: the whole key
    std::string text = comment(option.info.description);
    const auto values = option.get();
    if (!values) return text + "# " + name + " =\n";
    if (option.info.secret) return text + "# " + name + " = (hidden)\n";
    std::string items;
    for (const auto& value : *values) {
      items += (items.empty() ? "" : ", ") + (option.kind == Kind::kString ? toml_string(value) : value);
    }
    if (option.list) items = "[" + items + "]";
    text += name + " = " + items;
    return option.from.empty() ? text + "\n" : text + "  # " + option.from + "\n";
  };
  // TOML wants the keys of the top before the first table.
  std::vector<std::string> tables = {""};
  for (const auto& option : options_) {
    const auto dot = option->key.rfind('.');
    const auto table = dot == option->key.npos ? std::string() : option->key.substr(0, dot);
    if (std::find(tables.begin(), tables.end(), table) == tables.end()) tables.push_back(table);
  }
  std::string out;
  for (const auto& table : tables) {
    if (!table.empty()) out += "\n[" + table + "]\n";
    for (const auto& option : options_) {
      const auto dot = option->key.rfind('.');
      if ((dot == option->key.npos ? std::string() : option->key.substr(0, dot)) == table) out += render(*option);
    }
  }
  return out;
}

}  // namespace higgs::config
