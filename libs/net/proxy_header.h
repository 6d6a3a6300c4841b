// The header that a proxy puts before everything else on a connection, to say whose it is: PROXY protocol, version 1
// (text) and 2 (binary), of HAProxy. Sans-IO: it says how many bytes it wants and is given no more, so that what
// follows, a TLS handshake, stays in the socket.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ip.h"

namespace higgs::net {

class ProxyHeaderReader {
 public:
  /// Ours: addresses take 36 bytes, what proxies add to them (names, TLS details) a few hundred.
  static constexpr std::size_t kMostHeaderBytes = 4096;

  enum class State {
    kReading,
    kComplete,
    kMalformed,  ///< no PROXY header, or none that we take: the connection is to be closed
  };

  State state() const noexcept { return state_; }
  /// How many bytes still belong to the header for certain; 0 when it is over.
  std::size_t wanted() const noexcept;
  /// At most wanted() bytes.
  void put(ByteView bytes);
  /// When complete: whose connection it is. nullopt: the proxy's own, such as a health check, or of a kind without an
  /// IP address: then the socket's peer is as good as any.
  const std::optional<Endpoint>& source() const noexcept { return source_; }

 private:
  void read_binary();
  void read_text();

  State state_ = State::kReading;
  Bytes header_;
  std::optional<Endpoint> source_;
};

}  // namespace higgs::net
