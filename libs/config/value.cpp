#include "config/value.h"

#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/number.h"

namespace higgs::config {
namespace {

constexpr std::int64_t kMostDays = 36525;

struct Unit {
  std::string_view suffix;
  std::int64_t milliseconds;
};
// The longest first, for printing.
constexpr std::array kUnits = {Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"m", 60'000}, Unit{"s", 1000},
                               Unit{"ms", 1}};

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
  if (text == "false" || text == "no" || text == "off" || text == "0") return false;
  return std::nullopt;
}

std::optional<double> parse_float(std::string_view text) {
  const auto value = parse_number<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = Value<std::int64_t>::parse(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const auto& unit : kUnits) {
    if (text.substr(digits) != unit.suffix) continue;
    if (*number > kMostDays * kUnits.front().milliseconds / unit.milliseconds) return std::nullopt;
    return std::chrono::milliseconds(*number * unit.milliseconds);
  }
  return std::nullopt;
}

std::string print_duration(std::chrono::milliseconds duration) {
  for (const auto& unit : kUnits) {
    if (duration.count() != 0 && duration.count() % unit.milliseconds == 0) {
      return fmt::format("{}{}", duration.count() / unit.milliseconds, unit.suffix);
    }
  }
  return "0s";
}

std::string Value<double>::print(double value) {
  auto text = fmt::format("{}", value);
  // TOML tells floats from integers by the point or the exponent.
  if (text.find_first_of(".e") == text.npos) text += ".0";
  return text;
}

}  // namespace higgs::config
