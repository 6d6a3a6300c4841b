#include "bosonserver/api/paging.h"

#include <charconv>

namespace higgs::boson {
namespace {

constexpr std::size_t kMostPage = 500;

}  // namespace

std::optional<Page> page_of(const Call& call) {
  Page page;
  if (const auto limit = call.query("limit")) {
    const auto [end, error] = std::from_chars(limit->data(), limit->data() + limit->size(), page.limit);
    if (error != std::errc{} || end != limit->data() + limit->size() || page.limit < 1 || page.limit > kMostPage)
      return std::nullopt;
  }
  if (const auto cursor = call.query("cursor")) page.cursor = std::string(*cursor);
  return page;
}

}  // namespace higgs::boson
