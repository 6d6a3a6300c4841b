// A TCP or TLS listener of the TURN server and its connections, within limits. On the loop's thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "bosonserver/turn/stream_connection.h"
#include "net/event_loop.h"
#include "net/tls_stream.h"
#include "turn/turn_server.h"

namespace higgs::boson {

struct StreamLimits {
  std::size_t connections = 4096;
  std::size_t connections_per_source = 64;  ///< an IPv4 address or an IPv6 /64
  std::chrono::seconds idle{15};            ///< without an allocation: for a handshake and a request
};

struct StreamCounters {
  std::uint64_t accepted = 0, refused = 0, timeouts = 0, malformed = 0, dropped_full = 0;
};

class StreamServer final : private net::FdHandler, private StreamConnection::Owner {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual bool on_stream_message(const turn::FiveTuple& client, ByteView message) = 0;
    virtual void on_stream_gone(const turn::FiveTuple& client) = 0;
    /// Whether it has an allocation.
    virtual bool stands(const turn::FiveTuple& client) const = 0;
  };

  /// Binds; `tls` unset: plain TCP. Errors: errno in the generic category.
  static Result<std::unique_ptr<StreamServer>> listen(const Endpoint& where, std::optional<net::TlsContext> tls,
                                                      StreamLimits limits);
  ~StreamServer() override;
  Endpoint local() const noexcept { return local_; }

  /// Begins to accept. The loop and the owner outlive detach().
  void attach(net::EventLoop& loop, Owner& owner);
  void detach() noexcept;
  /// For the connections that come from now on; of a listener with TLS.
  void use(const net::TlsContext& tls) { tls_ = tls; }
  void send(const turn::FiveTuple& client, ByteView message);
  std::size_t connections() const noexcept { return connections_.size(); }
  const StreamCounters& counters() const noexcept { return counters_; }

 private:
  StreamServer(int fd, const Endpoint& local, std::optional<net::TlsContext> tls, StreamLimits limits);
  void on_events(std::uint32_t events) override;
  bool connection_message(const turn::FiveTuple& client, ByteView message) override;
  void connection_ended(const turn::FiveTuple& client) override;
  void connection_has_more(const turn::FiveTuple& client) override;
  void take(int fd, const Endpoint& remote);
  void pause();
  void arm_sweep();
  void sweep();
  void bury();

  int fd_;
  Endpoint local_;
  std::optional<net::TlsContext> tls_;
  StreamLimits limits_;
  net::EventLoop* loop_ = nullptr;
  Owner* owner_ = nullptr;
  StreamCounters counters_;
  std::map<turn::FiveTuple, std::unique_ptr<StreamConnection>> connections_;
  std::map<IpAddress, std::size_t> sources_;
  std::vector<turn::FiveTuple> ended_;
  std::uint64_t end_of_turn_ = 0;
};

}  // namespace higgs::boson
