// ?limit= and ?cursor= of the lists.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "bosonserver/api/call.h"

namespace higgs::boson {

inline constexpr std::size_t kUsualPage = 100, kMostOfPage = 500;

struct Page {
  std::size_t limit = kUsualPage;
  std::optional<std::string> cursor;
};

/// nullopt: not a number from 1 to kMostOfPage.
std::optional<std::size_t> parse_limit(std::string_view text);
/// nullopt: limit is not a number from 1 to 500.
std::optional<Page> page_of(const Call& call);

}  // namespace higgs::boson
