#include "bosonserver/api/paging.h"

#include "base/number.h"

namespace higgs::boson {

std::optional<std::size_t> parse_limit(std::string_view text) {
  const auto limit = parse_number<std::size_t>(text);
  return limit && *limit >= 1 && *limit <= kMostOfPage ? limit : std::nullopt;
}

std::optional<Page> page_of(const Call& call) {
  Page page;
  if (const auto limit = call.query("limit")) {
    const auto number = parse_limit(*limit);
    if (!number) return std::nullopt;
    page.limit = *number;
  }
  if (const auto cursor = call.query("cursor")) page.cursor = std::string(*cursor);
  return page;
}

}  // namespace higgs::boson
