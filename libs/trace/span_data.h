// A span that has ended, as it is exported. Bounded: names are ours, attributes are few and short.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.h"
#include "trace/context.h"

namespace higgs::trace {

/// Their numbers are those of OTLP's SpanKind.
enum class SpanKind { kInternal = 1, kServer = 2, kClient = 3 };

using AttributeValue = std::variant<std::string, std::int64_t, double, bool>;

inline constexpr std::size_t kMaxAttributes = 16;
inline constexpr std::size_t kMaxAttributeBytes = 128;  ///< of a text; the rest is cut off

struct SpanData {
  SpanContext context;
  std::optional<SpanId> parent;
  std::string name;
  SpanKind kind = SpanKind::kInternal;
  WallTime start{}, end{};
  std::vector<std::pair<std::string, AttributeValue>> attributes;
  std::uint32_t dropped_attributes = 0;
  std::optional<std::string> failure;  ///< why it did not do what it was for; may be empty
};

}  // namespace higgs::trace
