// The STUN server: answers Binding requests (RFC 8489) over UDP on a thread of its own, so that clients and nodes learn
// the address that the internet sees. One port of one address: no behaviour discovery, so no OTHER-ADDRESS.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/ip.h"
#include "base/result.h"
#include "bosonserver/stun/source_limiter.h"

namespace higgs::boson {

struct StunOptions {
  Endpoint listen;  ///< port 0: a free one. [::] takes IPv4 too.
  SourceLimits limits;
  std::string software = "bosonserver";
};

struct StunStats {
  std::uint64_t received = 0, answered = 0, refused = 0, malformed = 0, ignored = 0;
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
  StunStats stats() const noexcept;  ///< from any thread

 private:
  class Impl;
  explicit StunServer(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::boson
