// What a server traces: each request by its route, and the opening of a session from the client's link to the node's
// answer. No attribute holds a path, an address, a name or a token. Thread-safe.
#pragma once

#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/uuid.h"
#include "bosonserver/api/endpoint.h"
#include "net/http.h"
#include "relay/control.h"
#include "trace/tracer.h"

namespace higgs::boson {

class ServerTraces {
 public:
  /// Openings that are followed at a time; one of them gives way to a further one.
  static constexpr std::size_t kMaxOpenings = 4096;

  /// `tracer` outlives this.
  explicit ServerTraces(trace::Tracer& tracer) : tracer_(tracer) {}

  /// "GET /api/v1/nodes/{id}"; a child of the caller's span, where it names one. `endpoint` null: no such route.
  trace::Span request(const net::HttpRequest& request, const ApiEndpoint* endpoint);
  static void answered(trace::Span& span, unsigned status);
  /// A part of a request.
  trace::Span step(std::string_view name, const trace::Span& request);

  /// The relay is about to ask the node; what it is to be told.
  std::optional<trace::SpanContext> session_opening(SessionId session, NodeId node,
                                                    const std::optional<trace::SpanContext>& request);
  /// What became of it; what nobody traces is ignored. The span that has ended.
  std::optional<trace::SpanContext> session_ready(SessionId session);
  std::optional<trace::SpanContext> session_refused(SessionId session, relay::RefusalReason reason);
  void session_ended(SessionId session);

 private:
  trace::Span take(SessionId session);

  trace::Tracer& tracer_;
  std::mutex mutex_;
  std::unordered_map<SessionId, trace::Span> openings_;  // guarded by mutex_
};

}  // namespace higgs::boson
