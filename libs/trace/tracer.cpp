#include "trace/tracer.h"

#include <utility>

namespace higgs::trace {

namespace {

/// The seven bytes that Trace Context, level 2, has random in every trace id; of their bits those that a double holds.
constexpr std::size_t kRandomBytes = 7;
constexpr unsigned kSurplusBits = 3;
constexpr double kRandomRange = 9007199254740992.0;  // 2^53

}  // namespace

bool sampled(const TraceId& trace, double ratio) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = trace.size() - kRandomBytes; i < trace.size(); ++i)
    value = value << 8 | std::to_integer<std::uint64_t>(trace[i]);
  return static_cast<double>(value >> kSurplusBits) < ratio * kRandomRange;
}

Span& Span::operator=(Span&& other) noexcept {
  if (this == &other) return *this;
  end();
  tracer_ = other.tracer_;
  context_ = std::exchange(other.context_, std::nullopt);
  data_ = std::move(other.data_);
  started_ = other.started_;
  return *this;
}

void Span::set(std::string_view name, AttributeValue value) {
  if (!data_) return;
  if (data_->attributes.size() >= kMaxAttributes) {
    ++data_->dropped_attributes;
    return;
  }
  if (auto* text = std::get_if<std::string>(&value); text != nullptr && text->size() > kMaxAttributeBytes)
    text->resize(kMaxAttributeBytes);
  data_->attributes.emplace_back(name, std::move(value));
}

void Span::fail(std::string_view why) {
  if (data_) data_->failure = std::string(why.substr(0, kMaxAttributeBytes));
}

void Span::end() noexcept {
  if (data_) tracer_->finish(std::move(data_), started_);
}

Tracer::Tracer(std::optional<double> ratio, RandomSource& random, std::function<Now()> clock)
    : ratio_(ratio), random_(random), clock_(std::move(clock)) {}

Span Tracer::start(std::string_view name, SpanKind kind, const std::optional<SpanContext>& parent) {
  Span span;
  span.context_ = parent;
  if (!on()) return span;
  span.tracer_ = this;
  SpanContext context;
  context.trace = parent ? parent->trace : make_trace_id(random_);
  context.span = make_span_id(random_);
  context.sampled = parent ? parent->sampled : trace::sampled(context.trace, *ratio_);
  span.context_ = context;
  if (!context.sampled) return span;
  const auto now = clock_();
  span.started_ = now.monotonic;
  span.data_ = std::make_unique<SpanData>();
  span.data_->context = context;
  if (parent) span.data_->parent = parent->span;
  span.data_->name = name;
  span.data_->kind = kind;
  span.data_->start = now.wall;
  return span;
}

/// A wall clock that was set meanwhile makes no span last for hours, or end before it began.
void Tracer::finish(std::unique_ptr<SpanData> span, Instant started) {
  span->end = span->start + (clock_().monotonic - started);
  queue_.push(std::move(*span));
}

}  // namespace higgs::trace
