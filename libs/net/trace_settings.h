// Where a program's traces go, as it is configured: nowhere by default.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "config/schema.h"

namespace higgs::net {

struct TraceSettings {
  std::optional<std::string> endpoint;  ///< https://HOST:PORT of a collector (OTLP/HTTP), or http://; unset: no tracing
  double sample_ratio = 1;              ///< of the traces that begin here
  std::optional<std::filesystem::path> ca;

  /// kAddress: names are refused, for a program whose look-ups must not leave by another way than its spans.
  enum class Host { kAny, kAddress };

  /// Binds every field to its key.
  void declare(config::Schema& schema, Host host = Host::kAny);
  /// For a tracer; nullopt: off.
  std::optional<double> ratio() const { return endpoint ? std::optional(sample_ratio) : std::nullopt; }
};

/// Where spans are posted: /v1/traces behind the endpoint's path, unless it ends with that. The endpoint is a URL.
std::string traces_url(const std::string& endpoint);

}  // namespace higgs::net
