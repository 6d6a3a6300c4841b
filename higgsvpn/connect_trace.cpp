#include "higgsvpn/connect_trace.h"

#include <utility>

namespace higgs::vpn {

using trace::Span;
using trace::SpanKind;

namespace {

std::string_view kind_of(const Failure& failure) {
  if (failure.gone) return "gone";
  switch (failure.code) {
    case ExitCode::kNotLoggedIn:
      return "not logged in";
    case ExitCode::kNoNodeFits:
      return "no node fits";
    case ExitCode::kUnreachable:
      return "unreachable";
    case ExitCode::kNotPermitted:
      return "not permitted";
    default:
      return "failure";
  }
}

}  // namespace

ConnectTrace::ConnectTrace(const boost::asio::any_io_executor& executor, const net::TraceSettings& settings,
                           RandomSource& random)
    : tracing_(settings, "higgsvpn", Uuid::random(random).to_string(), random) {
  tracing_.start(executor);
  tracing_.set_open(false);
}

void ConnectTrace::tunnel_down(bool again) {
  if (down_) return;
  down_ = true;
  tracing_.set_open(false);
  if (tracing_.tracer().on()) connect_ = tracing_.tracer().start(again ? "reconnect" : "connect", SpanKind::kInternal);
}

void ConnectTrace::tunnel_up() {
  if (!down_) return;
  down_ = false;
  handshake_.end();  // of a tunnel that has gone on with the keys that it had
  connect_.end();
  tracing_.set_open(true);
}

Span ConnectTrace::child(std::string_view name, SpanKind kind) {
  return connect_.recorded() ? tracing_.tracer().start(name, kind, connect_.context()) : Span();
}

const std::optional<trace::SpanContext>& ConnectTrace::begin_step(std::string_view name) {
  step_ = child(name, SpanKind::kClient);
  return step_.context();
}

void ConnectTrace::end_step() { step_.end(); }

void ConnectTrace::step_failed(const Failure& failure) {
  step_.fail(kind_of(failure));
  step_.end();
}

void ConnectTrace::session_begun(const SessionId& session, bool direct) {
  session_over();
  connect_.set("higgs.session.id", to_string(session));
  direct_wanted_ = direct;
}

void ConnectTrace::link_opened() {
  handshake_ = child("handshake", SpanKind::kInternal);
  if (std::exchange(direct_wanted_, false)) direct_ = child("first direct path", SpanKind::kInternal);
}

void ConnectTrace::handshake_done() { handshake_.end(); }

void ConnectTrace::path_taken(const std::optional<path::Kind>& path) {
  if (!path || !path::is_direct(*path)) return;
  direct_.set("higgs.path", std::string(path::to_string(*path)));
  direct_.end();
}

void ConnectTrace::session_over() {
  handshake_.end();
  direct_.set("higgs.path", "none");
  direct_.end();
}

boost::asio::awaitable<void> ConnectTrace::stop() {
  session_over();
  for (auto* unfinished : {&step_, &connect_}) {
    unfinished->fail("given up");
    unfinished->end();
  }
  auto stopping = tracing_.stop();
  co_await std::move(stopping);
}

}  // namespace higgs::vpn
