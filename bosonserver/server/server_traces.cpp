#include "bosonserver/server/server_traces.h"

#include "net/tracing.h"

namespace higgs::boson {

using trace::Span;
using trace::SpanKind;

namespace {

constexpr unsigned kFirstServerError = 500;

}  // namespace

Span ServerTraces::request(const net::HttpRequest& request, const ApiEndpoint* endpoint) {
  const auto parent = net::trace_parent_of(request.headers);
  // A method of nobody's and a path without a route are the caller's words: they are as many as it likes.
  const std::string name = endpoint ? std::string(endpoint->method) + " " + std::string(endpoint->path) : "HTTP";
  auto span = tracer_.start(name, SpanKind::kServer, parent);
  span.set("http.request.method", endpoint ? std::string(endpoint->method) : "_OTHER");
  if (endpoint) span.set("http.route", std::string(endpoint->path));
  return span;
}

void ServerTraces::answered(Span& span, unsigned status) {
  span.set("http.response.status_code", std::int64_t{status});
  if (status >= kFirstServerError) span.fail("");
  span.end();
}

Span ServerTraces::step(std::string_view name, const Span& request) {
  return request.recorded() ? tracer_.start(name, SpanKind::kInternal, request.context()) : Span();
}

std::optional<trace::SpanContext> ServerTraces::session_opening(SessionId session, NodeId node,
                                                                const std::optional<trace::SpanContext>& request) {
  if (!request) return std::nullopt;
  auto span = tracer_.start("session-open", SpanKind::kClient, request);
  if (!span.recorded()) return span.context();
  span.set("higgs.session.id", to_string(session));
  span.set("higgs.node.id", to_string(node));
  const auto context = span.context();
  const std::lock_guard lock(mutex_);
  if (openings_.size() >= kMaxOpenings && !openings_.contains(session)) {
    openings_.begin()->second.fail("too many others were opened at the time");
    openings_.erase(openings_.begin());
  }
  openings_[session] = std::move(span);
  return context;
}

Span ServerTraces::take(SessionId session) {
  const std::lock_guard lock(mutex_);
  auto found = openings_.extract(session);
  return found ? std::move(found.mapped()) : Span();
}

std::optional<trace::SpanContext> ServerTraces::session_ready(SessionId session) { return take(session).context(); }

std::optional<trace::SpanContext> ServerTraces::session_refused(SessionId session, relay::RefusalReason reason) {
  auto span = take(session);
  span.fail(relay::to_string(reason));
  return span.context();
}

void ServerTraces::session_ended(SessionId session) {
  take(session).fail("the session ended before its node answered");
}

}  // namespace higgs::boson
