#include "net/tracing.h"

#include <algorithm>

#include "base/version.h"
#include "net/http_text.h"
#include "runtime/clock.h"

namespace higgs::net {

Tracing::Tracing(TraceSettings settings, const std::string& service, const std::string& instance, RandomSource& random)
    : settings_(std::move(settings)),
      resource_{service, kHiggsVersion, instance},
      random_(random),
      tracer_(settings_.ratio(), random, runtime::now) {}

void Tracing::start(const boost::asio::any_io_executor& executor) {
  if (!settings_.endpoint) return;
  exporter_.emplace(executor, settings_, resource_, tracer_.queue(), random_);
  exporter_->start();
}

void Tracing::set_open(bool open) {
  if (exporter_) exporter_->set_open(open);
}

boost::asio::awaitable<void> Tracing::stop() {
  if (!exporter_) co_return;
  auto stopping = exporter_->stop(kFarewell);
  co_await std::move(stopping);
  exporter_.reset();
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

std::vector<runtime::log::Field> trace_fields(const std::optional<trace::SpanContext>& context) {
  if (!context) return {};
  return {{"trace_id", to_hex(context->trace)}, {"span_id", to_hex(context->span)}};
}

}  // namespace higgs::net
