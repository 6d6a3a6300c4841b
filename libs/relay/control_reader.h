// Reads typed fields of one control payload; remembers the first fault, so that a reader of an action is a plain list
// of its fields. Internal to control.cpp.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "relay/control.h"

namespace higgs::relay {

/// Counters above this are no counters: what a double still holds exactly.
inline constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 53;
inline constexpr double kMaxMbps = 1e6;

class ControlReader {
 public:
  explicit ControlReader(const nlohmann::json& payload) : payload_(payload) {}

  void fail() { note(ControlError::kBadField); }
  /// Missing and null are the same.
  bool has(const char* name) const {
    const auto field = payload_.find(name);
    return field != payload_.end() && !field->is_null();
  }

  std::string text(const char* name) {
    const auto* field = find(name);
    if (field == nullptr) return {};
    if (!field->is_string()) return fail(), std::string();
    return field->get<std::string>();
  }
  /// Of a field that nothing depends on: whatever else it is, it is empty.
  std::string_view text_if_any(const char* name) const {
    const auto field = payload_.find(name);
    if (field == payload_.end() || !field->is_string()) return {};
    return field->get_ref<const std::string&>();
  }
  std::vector<std::string> texts(const char* name, std::size_t limit) {
    std::vector<std::string> out;
    const auto* field = find(name);
    if (field == nullptr) return out;
    if (!field->is_array() || field->size() > limit) return fail(), out;
    for (const auto& item : *field) {
      if (!item.is_string()) return fail(), out;
      out.push_back(item.get<std::string>());
    }
    return out;
  }
  bool boolean(const char* name) {
    const auto* field = find(name);
    if (field == nullptr) return false;
    if (!field->is_boolean()) return fail(), false;
    return field->get<bool>();
  }
  std::uint64_t integer(const char* name, std::uint64_t limit) {
    const auto* field = find(name);
    if (field == nullptr) return 0;
    return integer_of(*field, limit);
  }
  double number(const char* name) {
    const auto* field = find(name);
    return field == nullptr ? 0 : number_of(*field);
  }
  std::optional<double> optional_number(const char* name) {
    if (!has(name)) return std::nullopt;
    return number_of(*find(name));
  }
  std::int64_t unix_seconds(const char* name) {
    return static_cast<std::int64_t>(integer(name, static_cast<std::uint64_t>(kMaxUnixSeconds)));
  }
  std::optional<Channel> channel(const char* name) {
    if (!has(name)) return std::nullopt;
    const auto value = integer_of(*find(name), std::numeric_limits<Channel>::max());
    if (value == 0) fail();
    return static_cast<Channel>(value);
  }
  Channel required_channel(const char* name) {
    const auto value = channel(name);
    if (!value) note(ControlError::kMissingField);
    return value.value_or(0);
  }
  template <class Enum>
  Enum one_of(const char* name, std::span<const std::pair<Enum, std::string_view>> names) {
    const std::string value = text(name);
    for (const auto& [candidate, spelled] : names)
      if (spelled == value) return candidate;
    fail();
    return names.front().first;
  }

  template <class Payload>
  Result<ControlPayload> finish(Payload payload) {
    if (error_) return *error_;
    return ControlPayload(std::move(payload));
  }

 private:
  const nlohmann::json* find(const char* name) {
    const auto field = payload_.find(name);
    if (field != payload_.end()) return &*field;
    note(ControlError::kMissingField);
    return nullptr;
  }
  std::uint64_t integer_of(const nlohmann::json& field, std::uint64_t limit) {
    if (!field.is_number_unsigned() || field.get<std::uint64_t>() > limit) return fail(), 0;
    return field.get<std::uint64_t>();
  }
  double number_of(const nlohmann::json& field) {
    if (!field.is_number()) return fail(), 0;
    const double value = field.get<double>();
    if (!std::isfinite(value) || value < 0 || value > kMaxMbps) return fail(), 0;
    return value;
  }
  void note(ControlError error) {
    if (!error_) error_ = error;
  }

  const nlohmann::json& payload_;
  std::optional<ControlError> error_;
};

}  // namespace higgs::relay
