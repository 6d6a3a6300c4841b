// The types an option may have: how each is read from text (flag, environment, TOML) and written back.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/number.h"
#include "base/secret.h"

namespace higgs::config {

/// The TOML type that an option takes; everything but numbers and bools is written as a string.
enum class Kind { kString, kInteger, kFloat, kBool };

std::optional<bool> parse_bool(std::string_view text);
std::optional<double> parse_float(std::string_view text);
/// "250ms", "30s", "5m", "2h", "1d"; whole numbers; no sign, no blank. Bounded by 100 years.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
std::string print_duration(std::chrono::milliseconds duration);

/// Specialised for each type: kKind, kExpected (ends the sentence "… is not "), parse and print.
template <class T>
struct Value;

template <std::integral T>
requires(!std::same_as<T, bool>) struct Value<T> {
  static constexpr Kind kKind = Kind::kInteger;
  static std::string expected() {
    return "a whole number from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
           std::to_string(std::numeric_limits<T>::max());
  }
  static std::optional<T> parse(std::string_view text) { return parse_number<T>(text); }
  static std::string print(T value) { return std::to_string(value); }
};

template <>
struct Value<bool> {
  static constexpr Kind kKind = Kind::kBool;
  static std::string expected() { return "true or false"; }
  static std::optional<bool> parse(std::string_view text) { return parse_bool(text); }
  static std::string print(bool value) { return value ? "true" : "false"; }
};

template <>
struct Value<double> {
  static constexpr Kind kKind = Kind::kFloat;
  static std::string expected() { return "a number"; }
  static std::optional<double> parse(std::string_view text) { return parse_float(text); }
  static std::string print(double value);
};

template <>
struct Value<std::string> {
  static constexpr Kind kKind = Kind::kString;
  static std::string expected() { return "a text"; }
  static std::optional<std::string> parse(std::string_view text) { return std::string(text); }
  static std::string print(const std::string& value) { return value; }
};

template <>
struct Value<SecretString> {
  static constexpr Kind kKind = Kind::kString;
  static std::string expected() { return "a text"; }
  static std::optional<SecretString> parse(std::string_view text) { return SecretString(std::string(text)); }
  static std::string print(const SecretString&) { return "(hidden)"; }
};

template <>
struct Value<std::filesystem::path> {
  static constexpr Kind kKind = Kind::kString;
  static std::string expected() { return "a path"; }
  static std::optional<std::filesystem::path> parse(std::string_view text) {
    if (text.empty() || text.find('\0') != text.npos) return std::nullopt;
    return std::filesystem::path(text);
  }
  static std::string print(const std::filesystem::path& value) { return value.string(); }
};

template <class Rep, class Period>
struct Value<std::chrono::duration<Rep, Period>> {
  using Duration = std::chrono::duration<Rep, Period>;
  static constexpr Kind kKind = Kind::kString;
  static std::string expected() { return "a duration such as \"250ms\", \"30s\", \"5m\" or \"2h\""; }
  static std::optional<Duration> parse(std::string_view text) {
    const auto value = parse_duration(text);
    if (!value || std::chrono::duration_cast<Duration>(*value) != *value) return std::nullopt;
    return std::chrono::duration_cast<Duration>(*value);
  }
  static std::string print(Duration value) {
    return print_duration(std::chrono::duration_cast<std::chrono::milliseconds>(value));
  }
};

#define HIGGS_CONFIG_PARSED(TYPE, EXPECTED)                                               \
  template <>                                                                             \
  struct Value<TYPE> {                                                                    \
    static constexpr Kind kKind = Kind::kString;                                          \
    static std::string expected() { return EXPECTED; }                                    \
    static std::optional<TYPE> parse(std::string_view text) { return TYPE::parse(text); } \
    static std::string print(const TYPE& value) { return value.to_string(); }             \
  };
HIGGS_CONFIG_PARSED(IpAddress, "an IP address such as \"192.0.2.1\" or \"2001:db8::1\"")
HIGGS_CONFIG_PARSED(IpPrefix, "a prefix such as \"10.0.0.0/8\" or \"fd00::/8\"")
HIGGS_CONFIG_PARSED(Endpoint, "an address and port such as \"0.0.0.0:8443\" or \"[::]:8443\"")
#undef HIGGS_CONFIG_PARSED

}  // namespace higgs::config
