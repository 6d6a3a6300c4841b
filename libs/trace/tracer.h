// Makes spans, and says which of them are recorded: those of a parent follow it, the others are chosen by their trace
// id, so that all who see a trace with one ratio choose alike.
//
//   auto span = tracer.start("route", SpanKind::kClient, parent);
//   span.set("http.response.status_code", 200);       // ends with the scope, or by end()
//
// The tracer is thread-safe and outlives its spans; a span is one thread's at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/time.h"
#include "trace/span_data.h"
#include "trace/span_queue.h"

namespace higgs::trace {

class Tracer;

class Span {
 public:
  /// Of nothing: it records nothing, and nobody is told of it.
  Span() = default;
  Span(Span&& other) noexcept = default;
  /// What it was before ends.
  Span& operator=(Span&& other) noexcept;
  ~Span() { end(); }

  /// For children, here or elsewhere; nullopt: there is no trace.
  const std::optional<SpanContext>& context() const noexcept { return context_; }
  bool recorded() const noexcept { return data_ != nullptr; }
  /// Attributes over kMaxAttributes are dropped and counted.
  void set(std::string_view name, AttributeValue value);
  /// `why` is for whoever reads the trace; nothing that a peer wrote.
  void fail(std::string_view why);
  /// Once; what comes later says nothing.
  void end() noexcept;

 private:
  friend class Tracer;
  Tracer* tracer_ = nullptr;
  std::optional<SpanContext> context_;
  std::unique_ptr<SpanData> data_;
  Instant started_{};
};

class Tracer {
 public:
  /// `ratio`: how many of the traces that begin here are recorded, 0 to 1; nullopt: off, no span is recorded, and the
  /// parent's context is passed on as it came. `random` is used by many threads.
  Tracer(std::optional<double> ratio, RandomSource& random, std::function<Now()> clock);

  Span start(std::string_view name, SpanKind kind, const std::optional<SpanContext>& parent = {});
  bool on() const noexcept { return ratio_.has_value(); }
  SpanQueue& queue() noexcept { return queue_; }
  const SpanQueue& queue() const noexcept { return queue_; }

 private:
  friend class Span;
  void finish(std::unique_ptr<SpanData> span, Instant started);

  const std::optional<double> ratio_;
  RandomSource& random_;
  const std::function<Now()> clock_;
  SpanQueue queue_;
};

/// Whether a trace of this id is among the `ratio` that are recorded.
bool sampled(const TraceId& trace, double ratio) noexcept;

}  // namespace higgs::trace
