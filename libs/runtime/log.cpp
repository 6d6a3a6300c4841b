#include "runtime/log.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace higgs::runtime::log {
namespace {

/// How a line is laid out; decided once, in configure().
enum class Layout { kTerminal, kJournal, kJson };

struct Logger {
  std::shared_ptr<spdlog::logger> sink;
  Layout layout = Layout::kTerminal;
  std::string program;
};

spdlog::level::level_enum to_spdlog(Level level) {
  static constexpr std::array kLevels = {spdlog::level::trace, spdlog::level::debug, spdlog::level::info,
                                         spdlog::level::warn,  spdlog::level::err,   spdlog::level::off};
  return kLevels[static_cast<std::size_t>(level)];
}

constexpr std::array<std::string_view, 6> kNames = {"trace", "debug", "info", "warn", "error", "off"};

/// systemd.exec(5), $JOURNAL_STREAM: device and inode of the stream that goes to the journal.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
  return std::string_view(stream) == fmt::format("{}:{}", status.st_dev, status.st_ino);
}

Logger make_logger(const Options& options) {
  Logger logger;
  logger.program = options.program;
  if (options.format == Format::kJson)
    logger.layout = Layout::kJson;
  else if (stderr_is_journal())
    logger.layout = Layout::kJournal;
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (logger.layout == Layout::kTerminal) {
    sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    sink->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v");
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_pattern("%v");
  }
  logger.sink = std::make_shared<spdlog::logger>("higgs", sink);
  logger.sink->set_level(to_spdlog(options.level));
  logger.sink->flush_on(spdlog::level::trace);
  return logger;
}

std::mutex configuring;

std::shared_ptr<const Logger>& slot() {
  static std::shared_ptr<const Logger> logger = std::make_shared<const Logger>(make_logger({}));
  return logger;
}

std::shared_ptr<const Logger> current() {
  const std::lock_guard lock(configuring);
  return slot();
}

bool is_plain(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code <= 0x20 || code == 0x7f || c == '"' || c == '=') return false;
  }
  return true;
}

/// What a peer sent must not be able to forge a line or move the terminal's cursor.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else if (code < 0x20 || code == 0x7f)
      out += fmt::format("\\x{:02x}", code);
    else
      out += c;
  }
  return out;
}

std::string text_of(const Field::Value& value) {
  return std::visit(
      [](const auto& held) -> std::string {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, std::string>)
          return is_plain(held) ? held : "\"" + escaped(held) + "\"";
        else
          return fmt::format("{}", held);
      },
      value);
}

using AllFields = std::vector<const Field*>;

std::string text_line(const Logger& logger, Level level, std::string_view sentence, const AllFields& fields) {
  // sd-daemon(3): a priority in angle brackets; the journal adds time and program itself.
  static constexpr std::array<std::string_view, 6> kPriorities = {"<7>", "<7>", "<6>", "<4>", "<3>", "<3>"};
  std::string line;
  if (logger.layout == Layout::kJournal) line += kPriorities[static_cast<std::size_t>(level)];
  for (const char c : sentence) line += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  for (const auto* field : fields) line += fmt::format(" {}={}", field->name, text_of(field->value));
  return line;
}

std::string json_line(const Logger& logger, Level level, std::string_view sentence, const AllFields& fields) {
  const auto now = std::chrono::system_clock::now();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  const std::time_t time = std::chrono::system_clock::to_time_t(seconds);
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  nlohmann::ordered_json json;
  json["time"] = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                             utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                             std::chrono::duration_cast<std::chrono::milliseconds>(now - seconds).count());
  json["level"] = kNames[static_cast<std::size_t>(level)];
  if (!logger.program.empty()) json["program"] = logger.program;
  json["message"] = sentence;
  for (const auto* field : fields) {
    std::visit([&](const auto& held) { json[std::string(field->name)] = held; }, field->value);
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

thread_local const Scope* scope = nullptr;

std::atomic<std::uint64_t> warnings{0}, errors{0};

void count(Level level) noexcept {
  if (level == Level::kWarn) warnings.fetch_add(1, std::memory_order_relaxed);
  if (level == Level::kError) errors.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

Scope::Scope(std::vector<Field> fields) : fields_(std::move(fields)), outer_(std::exchange(scope, this)) {}
Scope::~Scope() { scope = outer_; }

Counts counts() noexcept { return {warnings.load(std::memory_order_relaxed), errors.load(std::memory_order_relaxed)}; }

std::optional<Level> parse_level(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Level>(i);
  }
  return std::nullopt;
}

void configure(const Options& options) {
  auto logger = std::make_shared<const Logger>(make_logger(options));
  const std::lock_guard lock(configuring);
  slot() = std::move(logger);
}

void set_level(Level level) { current()->sink->set_level(to_spdlog(level)); }

bool enabled(Level level) noexcept { return current()->sink->should_log(to_spdlog(level)); }

void write(Level level, std::string_view sentence, Fields fields) {
  count(level);
  const auto logger = current();
  if (level == Level::kOff || !logger->sink->should_log(to_spdlog(level))) return;
  AllFields all;
  for (const auto& field : fields) all.push_back(&field);
  const auto said = [&all](const Field& field) {
    return std::any_of(all.begin(), all.end(), [&](const Field* other) { return other->name == field.name; });
  };
  if (scope != nullptr)
    for (const auto& field : scope->fields_)
      if (!said(field)) all.push_back(&field);
  const auto line = logger->layout == Layout::kJson ? json_line(*logger, level, sentence, all)
                                                    : text_line(*logger, level, sentence, all);
  logger->sink->log(to_spdlog(level), spdlog::string_view_t(line));
}

}  // namespace higgs::runtime::log
