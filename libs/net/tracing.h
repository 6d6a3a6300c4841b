// A program's tracer with its exporter, as it is configured: off by default, and then it costs nothing and sends
// nothing. Threads: as its two parts.
#pragma once

#include <optional>

#include "net/trace_exporter.h"
#include "net/trace_settings.h"
#include "runtime/log.h"
#include "trace/tracer.h"

namespace higgs::net {

class Tracing {
 public:
  /// How long a program's end may wait for the last spans.
  static constexpr std::chrono::milliseconds kFarewell{1000};

  /// `service`, `instance`: of the resource. `random` is used by every thread that traces, and outlives this.
  Tracing(TraceSettings settings, const std::string& service, const std::string& instance, RandomSource& random);

  trace::Tracer& tracer() noexcept { return tracer_; }
  /// Begins to export, on this executor; set_open() and stop() belong there.
  void start(const boost::asio::any_io_executor& executor);
  void set_open(bool open);
  /// Sends what waits, for kFarewell at most, and ends the exporter.
  boost::asio::awaitable<void> stop();
  /// Where the executor runs no more.
  void abandon() { exporter_.reset(); }
  /// nullopt: off.
  std::optional<TraceExportStats> stats() const;
  /// Spans that found the queue full.
  std::uint64_t dropped() const { return tracer_.queue().dropped(); }

 private:
  const TraceSettings settings_;
  const trace::Resource resource_;
  RandomSource& random_;
  trace::Tracer tracer_;
  std::optional<TraceExporter> exporter_;
};

/// The caller's context; nullopt where there is none, or no one.
std::optional<trace::SpanContext> trace_parent_of(const HttpHeaders& headers);
/// Does nothing where there is no trace.
void set_trace_parent(HttpHeaders& headers, const std::optional<trace::SpanContext>& context);
/// trace_id and span_id for log lines; none where there is no trace.
std::vector<runtime::log::Field> trace_fields(const std::optional<trace::SpanContext>& context);

}  // namespace higgs::net
