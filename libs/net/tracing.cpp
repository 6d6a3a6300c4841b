#include "net/tracing.h"

#include <algorithm>

#include "base/version.h"
#include "net/http_text.h"
#include "runtime/clock.h"

namespace higgs::net {

Tracing::Tracing(const boost::asio::any_io_executor& executor, const TraceSettings& settings,
                 const std::string& service, const std::string& instance, RandomSource& random)
    : tracer_(settings.ratio(), random, runtime::now) {
  if (!settings.endpoint) return;
  trace::Resource resource{service, kHiggsVersion, instance};
  exporter_.emplace(executor, settings, std::move(resource), tracer_.queue(), random);
}

void Tracing::start() {
  if (exporter_) exporter_->start();
}

void Tracing::set_open(bool open) {
  if (exporter_) exporter_->set_open(open);
}

boost::asio::awaitable<void> Tracing::stop() {
  if (!exporter_) co_return;
  auto stopping = exporter_->stop(kFarewell);
  co_await std::move(stopping);
}

std::optional<TraceExportStats> Tracing::stats() const {
  return exporter_ ? std::optional(exporter_->stats()) : std::nullopt;
}

std::optional<trace::SpanContext> trace_parent_of(const HttpHeaders& headers) {
  const auto is_traceparent = [](const auto& field) { return equal_without_case(field.first, trace::kTraceparent); };
  // Two of them say nothing: which one would it be?
  if (std::count_if(headers.all().begin(), headers.all().end(), is_traceparent) != 1) return std::nullopt;
  return trace::parse_traceparent(*headers.get(trace::kTraceparent));
}

void set_trace_parent(HttpHeaders& headers, const std::optional<trace::SpanContext>& context) {
  if (context) headers.set(trace::kTraceparent, trace::to_traceparent(*context));
}

}  // namespace higgs::net
