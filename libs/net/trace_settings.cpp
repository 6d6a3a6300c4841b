#include "net/trace_settings.h"

#include "base/ip.h"
#include "net/http_target.h"
#include "trace/otlp.h"

namespace higgs::net {
namespace {

std::optional<std::string> check_endpoint(const std::string& endpoint) {
  const auto url = parse_url(endpoint);
  const bool fits =
      url && (url->scheme == "https" || url->scheme == "http") && url->target.find_first_of("?#") == std::string::npos;
  if (fits) return std::nullopt;
  return "must be the URL of a collector, such as \"https://collector.example:4318\"";
}

std::optional<std::string> check_address(const std::string& endpoint) {
  if (auto problem = check_endpoint(endpoint)) return problem;
  if (IpAddress::parse(parse_url(endpoint)->host)) return std::nullopt;
  return "must have an address for its host, such as \"https://198.51.100.7:4318\": no name is looked up for it";
}

}  // namespace

void TraceSettings::declare(config::Schema& schema, Host host) {
  schema.add("tracing.endpoint", endpoint,
             {.description = "collector that traces are sent to (OTLP/HTTP): https://HOST:PORT, or http:// on this "
                             "machine; unset: none are made"},
             host == Host::kAny ? check_endpoint : check_address);
  schema.add("tracing.sample_ratio", sample_ratio,
             {.description = "how many of the traces that begin here are recorded; the others follow their parent"},
             config::in_range(0.0, 1.0));
  schema.add("tracing.ca", ca, {.description = "accept only a collector with a certificate of this CA (PEM file)"});
}

std::string traces_url(const std::string& endpoint) {
  std::string url = endpoint;
  while (url.ends_with('/')) url.pop_back();
  if (!url.ends_with(trace::kTracesPath)) url += trace::kTracesPath;
  return url;
}

}  // namespace higgs::net
