#include "trace/context.h"

#include <algorithm>

namespace higgs::trace {
namespace {

/// 3.2: version, trace-id, parent-id, trace-flags and the three hyphens between them.
constexpr std::size_t kLength = 55;
constexpr std::size_t kTraceAt = 3, kSpanAt = 36, kFlagsAt = 53;
/// 3.2.2.5: the one flag that there is.
constexpr unsigned kSampledFlag = 0x01;
/// 3.2.2.1: "Version ff is invalid".
constexpr unsigned kNoVersion = 0xff;
/// A later version may be longer; what is longer than this is no header of anybody's.
constexpr std::size_t kMaxLength = 512;

/// "Vendors MUST ignore the traceparent" where letters are upper case (3.2.2).
bool is_lower_hex(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

template <std::size_t N>
bool read(std::string_view text, std::size_t at, ByteArray<N>& out) noexcept {
  const auto field = text.substr(at, 2 * N);
  return is_lower_hex(field) && from_hex(field, out);
}

template <std::size_t N>
bool is_zero(const ByteArray<N>& id) noexcept {
  return std::all_of(id.begin(), id.end(), [](std::byte b) { return b == std::byte{0}; });
}

template <std::size_t N>
ByteArray<N> make_id(RandomSource& random) noexcept {
  auto id = random.array<N>();
  while (is_zero(id)) id = random.array<N>();
  return id;
}

}  // namespace

TraceId make_trace_id(RandomSource& random) noexcept { return make_id<16>(random); }
SpanId make_span_id(RandomSource& random) noexcept { return make_id<8>(random); }

std::optional<SpanContext> parse_traceparent(std::string_view text) noexcept {
  if (text.size() < kLength || text.size() > kMaxLength) return std::nullopt;
  if (text[kTraceAt - 1] != '-' || text[kSpanAt - 1] != '-' || text[kFlagsAt - 1] != '-') return std::nullopt;
  ByteArray<1> version, flags;
  SpanContext context;
  if (!read(text, 0, version) || !read(text, kTraceAt, context.trace) || !read(text, kSpanAt, context.span) ||
      !read(text, kFlagsAt, flags))
    return std::nullopt;
  const auto number = std::to_integer<unsigned>(version[0]);
  if (number == kNoVersion || is_zero(context.trace) || is_zero(context.span)) return std::nullopt;
  // 3.2.4: only a later version may go on, and only behind another hyphen.
  if (text.size() > kLength && (number == 0 || text[kLength] != '-')) return std::nullopt;
  context.sampled = (std::to_integer<unsigned>(flags[0]) & kSampledFlag) != 0;
  return context;
}

std::string to_traceparent(const SpanContext& context) {
  return "00-" + to_hex(context.trace) + "-" + to_hex(context.span) + (context.sampled ? "-01" : "-00");
}

}  // namespace higgs::trace
