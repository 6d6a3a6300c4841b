#include "trace/otlp.h"

#include <nlohmann/json.hpp>

#include "base/number.h"

namespace higgs::trace {
namespace {

using nlohmann::json;

/// Status.StatusCode: STATUS_CODE_ERROR.
constexpr int kStatusError = 2;

json value_of(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return {{"stringValue", *text}};
  if (const auto* number = std::get_if<std::int64_t>(&value)) return {{"intValue", std::to_string(*number)}};
  if (const auto* number = std::get_if<double>(&value)) return {{"doubleValue", *number}};
  return {{"boolValue", std::get<bool>(value)}};
}

json attribute(std::string_view key, const AttributeValue& value) { return {{"key", key}, {"value", value_of(value)}}; }

std::string nanoseconds(WallTime time) { return std::to_string(time.time_since_epoch().count()); }

json span_of(const SpanData& span) {
  json out{{"traceId", to_hex(span.context.trace)},
           {"spanId", to_hex(span.context.span)},
           {"name", span.name},
           {"kind", static_cast<int>(span.kind)},
           {"startTimeUnixNano", nanoseconds(span.start)},
           {"endTimeUnixNano", nanoseconds(span.end)}};
  if (span.parent) out["parentSpanId"] = to_hex(*span.parent);
  for (const auto& [key, value] : span.attributes) out["attributes"].push_back(attribute(key, value));
  if (span.dropped_attributes > 0) out["droppedAttributesCount"] = span.dropped_attributes;
  if (span.failure) out["status"] = {{"code", kStatusError}};
  if (span.failure && !span.failure->empty()) out["status"]["message"] = *span.failure;
  return out;
}

}  // namespace

std::string encode_traces(const Resource& resource, std::span<const SpanData> spans) {
  json list = json::array();
  for (const auto& span : spans) list.push_back(span_of(span));
  json about = json::array({attribute("service.name", resource.service), attribute("service.version", resource.version),
                            attribute("service.instance.id", resource.instance)});
  json scope_spans{{"scope", {{"name", "higgs"}, {"version", resource.version}}}, {"spans", std::move(list)}};
  json resource_spans{{"resource", {{"attributes", std::move(about)}}},
                      {"scopeSpans", json::array({std::move(scope_spans)})}};
  const json document{{"resourceSpans", json::array({std::move(resource_spans)})}};
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

Verdict verdict_of(unsigned status) noexcept {
  if (status >= 200 && status < 300) return Verdict::kTaken;
  return status == 429 || status == 502 || status == 503 || status == 504 ? Verdict::kAgain : Verdict::kRefused;
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view text) noexcept {
  const auto seconds = parse_number<std::uint32_t>(text);
  return seconds ? std::optional(std::chrono::seconds(*seconds)) : std::nullopt;
}

std::uint64_t rejected_spans(std::string_view body) noexcept {
  const json document = json::parse(body.begin(), body.end(), nullptr, false);
  if (!document.is_object()) return 0;
  const auto partial = document.find("partialSuccess");
  if (partial == document.end() || !partial->is_object()) return 0;
  const auto rejected = partial->find("rejectedSpans");
  if (rejected == partial->end()) return 0;
  if (rejected->is_number_unsigned()) return rejected->get<std::uint64_t>();
  if (!rejected->is_string()) return 0;
  return parse_number<std::uint64_t>(rejected->get_ref<const std::string&>()).value_or(0);
}

}  // namespace higgs::trace
