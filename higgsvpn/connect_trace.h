// The trace of a `connect`: one from its beginning until the tunnel stands, and another for each time that the tunnel
// is lost and mended; with a span each for the route, the relay link, the handshake and the way to the first direct
// path.
//
// Privacy: nothing is traced unless the user has configured a collector, and what is traced leaves this machine
// through the tunnel alone: while none stands, nothing is sent, and no name is looked up. What was not sent when the
// tunnel ends is forgotten.
//
// Threads: all on the executor's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "base/random.h"
#include "base/uuid.h"
#include "higgsvpn/failure.h"
#include "net/tracing.h"
#include "path/path_manager.h"

namespace higgs::vpn {

class ConnectTrace {
 public:
  ConnectTrace(const boost::asio::any_io_executor& executor, const net::TraceSettings& settings, RandomSource& random);

  /// The tunnel is (still) being made: a trace begins, unless one runs. `again`: it has stood before.
  void tunnel_down(bool again);
  /// It stands: the trace has ended, and may be sent.
  void tunnel_up();

  /// Begins a step, of which there is one at a time; its context is for the server that is asked.
  const std::optional<trace::SpanContext>& begin_step(std::string_view name);
  void end_step();
  /// Of the failure its kind alone: its words may name servers, and what they say.
  void step_failed(const Failure& failure);

  /// `direct`: whether a direct path is looked for at all.
  void session_begun(const SessionId& session, bool direct);
  void link_opened();
  void handshake_done();
  void path_taken(const std::optional<path::Kind>& path);
  /// The session is over; what was waited for does not come.
  void session_over();

  /// Through the tunnel, if it stands; to be awaited while it does.
  boost::asio::awaitable<void> stop();

 private:
  trace::Span child(std::string_view name, trace::SpanKind kind);

  net::Tracing tracing_;
  trace::Span connect_, step_, handshake_, direct_;
  bool down_ = false;
  bool direct_wanted_ = false;  ///< the session is new, and its link has not been opened yet
};

}  // namespace higgs::vpn
