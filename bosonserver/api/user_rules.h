// What holds for accounts whoever makes them: the API or the command line.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace higgs::boson {

inline constexpr std::size_t kLongestUserName = 64;
inline constexpr std::size_t kShortestPassword = 8;

/// What is wrong with the name; nullopt: nothing. Letters, digits and . _ - @ of ASCII, so that no two look alike.
std::optional<std::string> fault_of_user_name(std::string_view name);

}  // namespace higgs::boson
