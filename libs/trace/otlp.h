// OTLP/HTTP in its JSON form (OpenTelemetry protocol 1.x): what a collector is sent at /v1/traces, and what its answers
// mean. Ids are hexadecimal there, and numbers of 64 bits are strings.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "trace/span_data.h"

namespace higgs::trace {

inline constexpr std::string_view kTracesPath = "/v1/traces";

/// Who the spans are of.
struct Resource {
  std::string service;   ///< service.name
  std::string version;   ///< service.version
  std::string instance;  ///< service.instance.id
};

std::string encode_traces(const Resource& resource, std::span<const SpanData> spans);

enum class Verdict {
  kTaken,
  kAgain,    ///< the same later
  kRefused,  ///< never: it will not be taken another time either
};
/// "Retryable Response Codes": 429, 502, 503, 504.
Verdict verdict_of(unsigned status) noexcept;
/// Retry-After in seconds; its other form, a date, is nullopt.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view text) noexcept;
/// `partialSuccess.rejectedSpans` of a 200; 0 where it says nothing.
std::uint64_t rejected_spans(std::string_view body) noexcept;

}  // namespace higgs::trace
