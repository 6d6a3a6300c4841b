// ?limit= and ?cursor= of the lists.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "bosonserver/api/call.h"

namespace higgs::boson {

struct Page {
  std::size_t limit = 100;
  std::optional<std::string> cursor;
};

/// nullopt: limit is not a number from 1 to 500.
std::optional<Page> page_of(const Call& call);

}  // namespace higgs::boson
