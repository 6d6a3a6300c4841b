// Whatever is read as a traceparent is written the same way again, and is nobody's zero.
#include <cstdlib>

#include "trace/context.h"
#include "trace/otlp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)higgs::trace::rejected_spans(text);
  (void)higgs::trace::parse_retry_after(text);
  const auto context = higgs::trace::parse_traceparent(text);
  if (!context) return 0;
  const auto again = higgs::trace::to_traceparent(*context);
  if (higgs::trace::parse_traceparent(again) != context) std::abort();
  if (again.substr(2, 50) != text.substr(2, 50)) std::abort();
  if (context->trace == higgs::trace::TraceId{} || context->span == higgs::trace::SpanId{}) std::abort();
  return 0;
}
