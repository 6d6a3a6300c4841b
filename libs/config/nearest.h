// The name that was probably meant.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace higgs::config {

/// Damerau-Levenshtein distance (optimal string alignment): insertions, deletions, substitutions and swaps of
/// neighbours. Texts are cut at 64 characters.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The known name at the least distance, if that is at most a third of the name's length (and at least one).
std::optional<std::string> nearest_name(std::string_view name, const std::vector<std::string>& known);

}  // namespace higgs::config
