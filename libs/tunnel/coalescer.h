// Gathers decrypted packets of one batch into super-packets for the TUN device, so that one write, one route look-up
// and one pass through the stack serve many. What cannot be merged passes through unchanged; packets of one flow keep
// their order. Splitting what was merged gives the packets back (Segmenter is the inverse).
//
// TCP segments merge with the same addresses, ports, acknowledgement, window, flags, options, TTL and TOS, and the next
// sequence number; a short segment or PSH ends the run. UDP datagrams merge with the same addresses, ports, TTL, TOS
// and length; a shorter one ends the run. Checksums are verified before: the device's "checksum to be completed" would
// make a bad one good.
#pragma once

#include <cstdint>
#include <vector>

#include <sys/uio.h>

#include "base/bytes.h"
#include "tunnel/virtio_header.h"

namespace higgs::tunnel {

class Coalescer {
 public:
  struct Options {
    bool tcp = true;
    bool udp = true;
  };
  struct Counters {
    std::uint64_t packets = 0, writes = 0, bad_checksums = 0;
  };

  explicit Coalescer(Options options) : options_(options) {}

  /// The bytes must stay until the flush, which writes into their headers.
  void add(MutableBytes packet);
  /// Calls `write` for each packet to be written, in order, and starts anew. The first part holds all headers.
  template <class Write>
  void flush(Write&& write) {
    for (Group& group : groups_) {
      gather(group);
      write(finish(group), std::span<const iovec>(gathered_));
    }
    counters_.writes += groups_.size();
    clear();
  }
  const Counters& counters() const noexcept { return counters_; }

 private:
  enum class Trust : std::uint8_t { kUnknown, kGood, kBad };
  /// What the headers of a packet say, as far as merging needs it.
  struct Shape {
    bool v6 = false;
    bool tcp = false;
    bool mergeable = false;
    bool ends_run = false;
    std::uint16_t transport = 0;
    std::uint16_t headers = 0;
    std::uint32_t payload = 0;
    std::uint32_t sequence = 0;
  };
  struct Part {
    MutableBytes bytes;
    std::int32_t next = -1;
  };
  struct Group {
    Shape shape;
    Trust trust = Trust::kUnknown;
    bool pushed = false;
    std::int32_t first = 0, last = 0;
    std::uint32_t count = 1;
    std::uint32_t payload = 0;  ///< of all parts
  };

  static bool parse(ByteView packet, Shape& shape) noexcept;
  static bool checksum_is_good(ByteView packet, const Shape& shape) noexcept;
  bool same_flow(const Group& group, ByteView packet, const Shape& shape) const noexcept;
  bool fits(const Group& group, ByteView packet, const Shape& shape) const noexcept;
  std::int32_t start_group(MutableBytes packet, const Shape& shape);
  bool append(Group& group, MutableBytes packet, Shape& shape);
  void gather(const Group& group);
  VirtioHeader finish(Group& group) const noexcept;
  void clear() noexcept;

  Options options_;
  Counters counters_;
  std::vector<Part> parts_;
  std::vector<Group> groups_;
  std::vector<std::int32_t> open_;  ///< groups that may still grow, most recent last
  std::vector<iovec> gathered_;
};

}  // namespace higgs::tunnel
