// What shares the STUN server's ports: TURN. It runs on the STUN server's thread and event loop, so that its timers and
// its relayed ports need no thread of their own.
#pragma once

#include "base/bytes.h"
#include "base/ip.h"

namespace higgs::net {
class EventLoop;
}

namespace higgs::boson {

/// Sends from the STUN server's ports. On its thread only.
class DatagramSender {
 public:
  virtual ~DatagramSender() = default;
  /// From `local`, which a datagram of this client came in on. What the socket does not take is dropped and counted.
  virtual void send(const Endpoint& local, const Endpoint& client, ByteView bytes) = 0;
};

class DatagramSink {
 public:
  virtual ~DatagramSink() = default;
  /// Once, before the thread starts. The loop and the sender outlive detach().
  virtual void attach(net::EventLoop& loop, DatagramSender& sender) = 0;
  /// Once, after the thread has ended: descriptors are to be taken from the loop now.
  virtual void detach() noexcept = 0;
  /// Whatever is no Binding request: STUN of another method, ChannelData (RFC 8656, section 12.4), rubbish. May be
  /// changed in place. False: not for this sink either; it is counted and dropped.
  virtual bool on_datagram(const Endpoint& client, const Endpoint& local, MutableBytes datagram) = 0;
};

}  // namespace higgs::boson
