#include "net/trace_exporter.h"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/clock.h"
#include "runtime/deadline.h"
#include "runtime/log.h"

namespace higgs::net {

namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::milliseconds;
using trace::Verdict;

namespace {

constexpr milliseconds kConnectDeadline{3000}, kRequestDeadline{10000}, kJoin{1000};
constexpr int kPauseGrowth = 30;
/// Of an answer that says what was not taken.
constexpr std::size_t kAnswerBytes = std::size_t{64} * 1024;

HttpClientOptions http_options(const TraceSettings& settings, const std::string& service) {
  HttpClientOptions options;
  if (settings.ca) options.trust.ca_file = settings.ca->string();
  options.plain_http = true;
  options.connect_deadline = kConnectDeadline;
  options.request_deadline = kRequestDeadline;
  options.response_bytes = kAnswerBytes;
  options.user_agent = service;
  return options;
}

runtime::BackoffPolicy backoff_policy(const TraceExportLimits& limits) {
  const auto most = kPauseGrowth * limits.first_pause;
  return {.first = limits.first_pause, .early_cap = most, .cap = most};
}

}  // namespace

TraceExporter::TraceExporter(const asio::any_io_executor& executor, const TraceSettings& settings,
                             trace::Resource resource, trace::SpanQueue& queue, RandomSource& random,
                             TraceExportLimits limits)
    : url_(traces_url(settings.endpoint.value_or(""))),
      resource_(std::move(resource)),
      queue_(queue),
      random_(random),
      limits_(limits),
      http_(executor, http_options(settings, resource_.service)),
      wake_(executor),
      backoff_(backoff_policy(limits)),
      tasks_(executor) {}

TraceExporter::~TraceExporter() { tasks_.abandon(); }

void TraceExporter::start() { tasks_.spawn("traces", run()); }

void TraceExporter::set_open(bool open) {
  open_ = open;
  if (open)
    wake_.notify();
  else
    http_.close();
}

awaitable<void> TraceExporter::run() {
  for (;;) {
    auto exporting = export_waiting();
    const auto wait = co_await std::move(exporting);
    auto waiting = wake_.wait_for(wait);
    co_await std::move(waiting);
  }
}

bool TraceExporter::have_batch() {
  if (batch_) return true;
  const auto spans = queue_.take(limits_.batch_spans);
  if (spans.empty()) return false;
  batch_ = Batch{trace::encode_traces(resource_, spans), spans.size()};
  return true;
}

awaitable<milliseconds> TraceExporter::export_waiting() {
  while (open_ && have_batch()) {
    auto sending = send();
    const auto verdict = co_await std::move(sending);
    // Closed meanwhile: the batch has had no chance.
    if (!open_ && verdict == Verdict::kAgain) break;
    if (verdict != Verdict::kAgain) {
      batch_.reset();
      backoff_.reset();
      continue;
    }
    if (++batch_->attempts >= limits_.attempts) {
      failed_ += batch_->spans;
      batch_.reset();
    }
    co_return pause();
  }
  co_return limits_.interval;
}

/// What the collector wants, and never less than our own.
milliseconds TraceExporter::pause() {
  const auto own = backoff_.next(runtime::now().monotonic, random_);
  return retry_after_ ? std::max<milliseconds>(own, std::min(*retry_after_, limits_.longest_pause)) : own;
}

awaitable<Verdict> TraceExporter::send() {
  retry_after_.reset();
  HttpHeaders headers;
  headers.set("Content-Type", "application/json");
  auto posting = http_.request("POST", url_, std::move(headers), batch_->body);
  const auto response = co_await std::move(posting);
  if (!response) {
    if (open_) note(response.error().message());
    co_return Verdict::kAgain;
  }
  const auto verdict = trace::verdict_of(response->status);
  if (verdict == Verdict::kTaken) {
    const auto rejected = std::min<std::uint64_t>(trace::rejected_spans(response->body), batch_->spans);
    exported_ += batch_->spans - rejected;
    refused_ += rejected;
    note("");
    co_return verdict;
  }
  note(fmt::format("it answered {}", response->status));
  if (verdict == Verdict::kRefused)
    refused_ += batch_->spans;
  else if (const auto wanted = response->headers.get("Retry-After"))
    retry_after_ = trace::parse_retry_after(*wanted);
  co_return verdict;
}

/// Once for each trouble, not for each batch.
void TraceExporter::note(const std::string& trouble) {
  if (trouble == trouble_) return;
  trouble_ = trouble;
  if (trouble.empty())
    runtime::log::info("the collector takes traces again");
  else
    runtime::log::warn("the collector does not take traces", {{"reason", trouble}});
}

awaitable<void> TraceExporter::export_last() {
  while (have_batch()) {
    auto sending = send();
    const auto verdict = co_await std::move(sending);
    if (verdict == Verdict::kAgain) co_return;
    batch_.reset();
  }
}

awaitable<void> TraceExporter::stop(milliseconds most) {
  tasks_.cancel();
  auto joining = tasks_.join(kJoin);
  co_await std::move(joining);
  if (open_) {
    auto exporting = export_last();
    co_await runtime::with_deadline(std::move(exporting), most);
  }
  open_ = false;
  http_.close();
}

TraceExportStats TraceExporter::stats() const noexcept { return {exported_, refused_, failed_}; }

}  // namespace higgs::net
