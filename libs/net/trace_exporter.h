// Posts what waits in a queue of spans to a collector (OTLP/HTTP, JSON), a batch at a time, beside whatever is traced:
// nobody waits for it, and what a collector does not take is dropped and counted after a few attempts.
//
// Threads: all on the executor, which runs one handler at a time; stats() on any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/random.h"
#include "net/http_client.h"
#include "net/trace_settings.h"
#include "runtime/async_event.h"
#include "runtime/backoff.h"
#include "runtime/task_group.h"
#include "trace/otlp.h"
#include "trace/span_queue.h"

namespace higgs::net {

struct TraceExportLimits {
  std::chrono::milliseconds interval{1000};  ///< between looks at the queue
  std::size_t batch_spans = 256;
  unsigned attempts = 5;                        ///< for one batch
  std::chrono::seconds longest_pause{300};      ///< whatever Retry-After says
  std::chrono::milliseconds first_pause{1000};  ///< then doubled, to thirty times that
};

struct TraceExportStats {
  std::uint64_t exported = 0, refused = 0, failed = 0;  ///< spans
};

class TraceExporter {
 public:
  /// `settings` has an endpoint. `queue` and `random` outlive the exporter.
  TraceExporter(const boost::asio::any_io_executor& executor, const TraceSettings& settings, trace::Resource resource,
                trace::SpanQueue& queue, RandomSource& random, TraceExportLimits limits = {});
  /// After stop(), or once the executor runs no more.
  ~TraceExporter();

  void start();
  /// While it is closed nothing is sent, not a packet; spans wait in their queue. Open at first.
  void set_open(bool open);
  /// One attempt to send what waits, for as long as `most`; then nothing more is sent.
  boost::asio::awaitable<void> stop(std::chrono::milliseconds most);
  TraceExportStats stats() const noexcept;

 private:
  struct Batch {
    std::string body;
    std::size_t spans = 0;
    unsigned attempts = 0;
  };
  boost::asio::awaitable<void> run();
  /// Until nothing waits or the collector wants a pause; how long to wait.
  boost::asio::awaitable<std::chrono::milliseconds> export_waiting();
  boost::asio::awaitable<void> export_last();
  boost::asio::awaitable<trace::Verdict> send();
  bool have_batch();
  std::chrono::milliseconds pause();
  void note(const std::string& trouble);

  const std::string url_;
  const trace::Resource resource_;
  trace::SpanQueue& queue_;
  RandomSource& random_;
  const TraceExportLimits limits_;
  HttpClient http_;
  runtime::AsyncEvent wake_;
  runtime::Backoff backoff_;
  runtime::TaskGroup tasks_;
  bool open_ = true;
  std::optional<Batch> batch_;
  std::optional<std::chrono::seconds> retry_after_;
  std::string trouble_;  ///< that was logged
  std::atomic<std::uint64_t> exported_{0}, refused_{0}, failed_{0};
};

}  // namespace higgs::net
