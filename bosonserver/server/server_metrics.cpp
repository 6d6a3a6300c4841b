#include "bosonserver/server/server_metrics.h"

#include <limits>

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace higgs::boson {
namespace {

prometheus::MetricFamily& family_of(std::vector<prometheus::MetricFamily>& families, const Sample& sample) {
  for (auto& family : families)
    if (family.name == sample.name) return family;
  auto type = sample.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
  if (sample.latency) type = prometheus::MetricType::Histogram;
  families.push_back({sample.name, sample.help, type, {}});
  return families.back();
}

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

prometheus::ClientMetric::Histogram histogram_of(const LatencyBuckets& latency) {
  prometheus::ClientMetric::Histogram histogram;
  for (std::size_t i = 0; i < latency.counts.size(); ++i) {
    histogram.sample_count += latency.counts[i];
    const bool bounded = i < LatencyBuckets::kBounds.size();
    histogram.bucket.push_back({histogram.sample_count, bounded ? seconds(LatencyBuckets::kBounds[i])
                                                                : std::numeric_limits<double>::infinity()});
  }
  histogram.sample_sum = seconds(latency.sum);
  return histogram;
}

}  // namespace

class ServerMetrics::Impl {
 public:
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter().Name("higgs_http_requests_total").Help("Requests answered").Register(registry);
  prometheus::Family<prometheus::Histogram>& durations = prometheus::BuildHistogram()
                                                             .Name("higgs_http_request_duration_seconds")
                                                             .Help("From the whole request to its answer")
                                                             .Register(registry);
  prometheus::Family<prometheus::Histogram>& pool_waits = prometheus::BuildHistogram()
                                                              .Name("higgs_pool_wait_seconds")
                                                              .Help("From a request to the beginning of work on it")
                                                              .Register(registry);
  prometheus::Family<prometheus::Counter>& path_changes = prometheus::BuildCounter()
                                                              .Name("higgs_path_changes_total")
                                                              .Help("Sessions that went from one path to another")
                                                              .Register(registry);
  prometheus::Histogram& time_to_direct =
      prometheus::BuildHistogram()
          .Name("higgs_time_to_direct_seconds")
          .Help("From the beginning of a session to its first direct path")
          .Register(registry)
          .Add({}, prometheus::Histogram::BucketBoundaries{0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300});
};

ServerMetrics::ServerMetrics() : impl_(std::make_unique<Impl>()) {}
ServerMetrics::~ServerMetrics() = default;

void ServerMetrics::count_request(std::string_view method, std::string_view endpoint, unsigned status,
                                  std::chrono::nanoseconds duration) {
  const prometheus::Labels labels = {{"method", std::string(method)}, {"endpoint", std::string(endpoint)}};
  auto with_status = labels;
  with_status.emplace("status", std::to_string(status));
  impl_->requests.Add(with_status).Increment();
  static const prometheus::Histogram::BucketBoundaries kBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                                   0.1,   0.25,   0.5,   1,    2.5};
  impl_->durations.Add(labels, kBuckets).Observe(seconds(duration));
}

void ServerMetrics::count_path_changes(std::string_view from, std::string_view to, std::uint64_t changes) {
  impl_->path_changes.Add({{"from", std::string(from)}, {"to", std::string(to)}})
      .Increment(static_cast<double>(changes));
}

void ServerMetrics::observe_time_to_direct(std::chrono::nanoseconds duration) {
  impl_->time_to_direct.Observe(seconds(duration));
}

void ServerMetrics::observe_pool_wait(std::string_view pool, std::chrono::nanoseconds duration) {
  static const prometheus::Histogram::BucketBoundaries kBuckets = {0.0001, 0.0005, 0.001, 0.005, 0.01,
                                                                   0.05,   0.1,    0.5,   1};
  impl_->pool_waits.Add({{"pool", std::string(pool)}}, kBuckets).Observe(seconds(duration));
}

std::string ServerMetrics::text(const std::vector<Sample>& samples) const {
  auto families = impl_->registry.Collect();
  for (const auto& sample : samples) {
    prometheus::ClientMetric metric;
    if (!sample.label.empty()) metric.label.push_back({sample.label, sample.label_value});
    if (sample.latency) {
      metric.histogram = histogram_of(*sample.latency);
    } else if (sample.counter) {
      metric.counter.value = sample.value;
    } else {
      metric.gauge.value = sample.value;
    }
    family_of(families, sample).metric.push_back(std::move(metric));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace higgs::boson
