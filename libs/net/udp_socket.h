// The UDP port of the data path: an IPv4 and an IPv6 socket on one port, driven in batches.
//
// Sending: runs of equally long packets to one destination leave in one call as a train (UDP_SEGMENT, udp(7)), the rest
// by sendmmsg(2). A destination for which the kernel refuses a train (EIO: no checksum offload on the way out;
// EMSGSIZE: longer than the path MTU; EINVAL) gets single datagrams for a while.
// Receiving: recvmmsg(2) into buffers large enough for what UDP_GRO gathers; the caller cuts a train apart.
// The local address to which a peer last sent is the one it is answered from, as long as we have it.
//
// Threads: one. Non-blocking, but a full send buffer is waited for a few milliseconds before anything is dropped.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/result.h"

namespace higgs::net {

class UdpSocket {
 public:
  struct Options {
    std::uint16_t port = 0;  ///< 0: a free one
    std::uint32_t mark = 0;  ///< SO_MARK; 0: none
    bool segment = true;     ///< use UDP_SEGMENT where the kernel has it
    bool gather = true;      ///< use UDP_GRO where the kernel has it
    std::size_t send_buffer_bytes = 1024 * 1024;
    std::size_t receive_buffer_bytes = 4 * 1024 * 1024;
  };
  struct Counters {
    std::uint64_t sent_packets = 0, sent_calls = 0, received_packets = 0, received_calls = 0;
    std::uint64_t segment_refused = 0;  ///< trains that had to be sent singly
    std::uint64_t source_lost = 0;      ///< local addresses that were gone
    std::uint64_t dropped_full = 0, dropped_error = 0, truncated = 0;
  };
  /// One or, as a train, several datagrams: cut every `segment_bytes`; the last may be shorter.
  struct Received {
    Endpoint from;
    MutableBytes bytes;
    std::size_t segment_bytes = 0;
  };

  /// kernel's errno in the generic category: address_in_use, permission_denied (for the mark). A host without IPv6 has
  /// only the IPv4 socket.
  static Result<UdpSocket> open(const Options& options);
  UdpSocket(UdpSocket&&) noexcept;
  UdpSocket& operator=(UdpSocket&&) noexcept;
  ~UdpSocket();

  std::uint16_t port() const noexcept;
  int fd_v4() const noexcept;
  int fd_v6() const noexcept;  ///< -1: none
  Result<void> set_mark(std::uint32_t mark);

  /// To be called before sending what must be answered: where the last such message was not, the local address is no
  /// longer insisted on, since the way from there may be gone.
  void expect_answer(const Endpoint& from);
  /// The network is another one: no peer is answered from the address it last sent to, until it sends again.
  void forget_sources();
  /// In order. What cannot be sent is dropped and counted.
  void send(const Endpoint& to, std::span<const ByteView> packets);
  /// What is there, up to one batch; empty when nothing is. Valid until the next call.
  std::span<const Received> receive(int fd);

  const Counters& counters() const noexcept;

 private:
  class Impl;
  explicit UdpSocket(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace higgs::net
