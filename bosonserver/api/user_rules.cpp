#include "bosonserver/api/user_rules.h"

#include <algorithm>

namespace higgs::boson {

std::optional<std::string> fault_of_user_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestUserName) return "has not 1 to 64 characters";
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-' || c == '@';
  };
  if (!std::all_of(name.begin(), name.end(), allowed)) return "may hold letters, digits and . _ - @ only";
  return std::nullopt;
}

}  // namespace higgs::boson
