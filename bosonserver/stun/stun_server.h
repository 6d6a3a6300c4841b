// The STUN server: answers Binding requests (RFC 8489) over UDP on a thread of its own, so that clients and nodes learn
// the address that the internet sees; with a second address also what their NAT does (RFC 5780). What is no Binding
// request goes to a DatagramSink that shares ports and thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/ip.h"
#include "base/result.h"
#include "bosonserver/stun/datagram_sink.h"
#include "bosonserver/stun/source_limiter.h"

namespace higgs::boson {

struct StunOptions {
  Endpoint listen;  ///< port 0: a free one. [::] takes IPv4 too.
  /// Makes behaviour discovery possible; `listen` then names an address of the same family. The four ports are those of
  /// both addresses with both port numbers; port 0: a free one.
  std::optional<Endpoint> alternate;
  /// How the internet sees the two addresses, where a NAT that keeps ports stands before this server.
  std::optional<IpAddress> external, alternate_external;
  SourceLimits limits;
  std::string software = "bosonserver";
  /// Not owned; outlives the server.
  DatagramSink* sink = nullptr;
};

struct StunStats {
  std::uint64_t received = 0, answered = 0, refused = 0, malformed = 0, ignored = 0;
  std::uint64_t handed_on = 0;  ///< to the sink, which took it
  std::uint64_t rate_limited = 0;
  std::uint64_t send_failures = 0;
};

class StunServer {
 public:
  /// Binds and starts the thread. Errors: errno in the generic category.
  static Result<std::unique_ptr<StunServer>> start(StunOptions options);
  /// Joins the thread.
  ~StunServer();
  StunServer(const StunServer&) = delete;
  StunServer& operator=(const StunServer&) = delete;

  Endpoint local() const noexcept;
  /// The other address with the other port.
  std::optional<Endpoint> alternate() const noexcept;
  StunStats stats() const noexcept;  ///< from any thread
  /// Runs `action` on the server's thread, soon; dropped if it has stopped. From any thread.
  void post(std::function<void()> action);

 private:
  class Impl;
  explicit StunServer(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::boson
