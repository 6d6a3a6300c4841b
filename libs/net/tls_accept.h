// The server's end of TLS for an EventLoop, without Asio: the first reads and writes of the socket do the handshake.
#pragma once

#include "net/tls_stream.h"

namespace higgs::net {

/// Takes the descriptor, which is connected and non-blocking. A handshake that fails shows as kProtocol or kClosed.
/// Null context: without TLS.
TlsSocket accept_tls(int fd, const TlsContext* context, const Endpoint& remote);

}  // namespace higgs::net
