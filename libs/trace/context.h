// Which span something belongs to, and how that travels: the traceparent field of W3C Trace Context (Recommendation of
// 23 November 2021). tracestate is not passed on: nobody in this chain writes one, and free text of strangers has no
// business at a node.
//
//   00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//   version, trace-id, parent-id, trace-flags; all lower-case hexadecimal
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"

namespace higgs::trace {

using TraceId = ByteArray<16>;
using SpanId = ByteArray<8>;

/// Ids are never all zero.
struct SpanContext {
  TraceId trace{};
  SpanId span{};
  bool sampled = false;
  friend bool operator==(const SpanContext&, const SpanContext&) = default;
};

inline constexpr std::string_view kTraceparent = "traceparent";

TraceId make_trace_id(RandomSource& random) noexcept;
SpanId make_span_id(RandomSource& random) noexcept;

/// Of the present version exactly; of a later one what stands at the same places. nullopt: to be treated as if nothing
/// had been sent.
std::optional<SpanContext> parse_traceparent(std::string_view text) noexcept;
/// Version 00.
std::string to_traceparent(const SpanContext& context);

}  // namespace higgs::trace
