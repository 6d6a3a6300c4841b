// Splits a super-packet that the kernel handed to the TUN device (TCP or UDP generic segmentation offload) into packets
// of its segment size, with one pass that copies and computes the checksum. A plain packet passes through, its checksum
// completed where the kernel left that to the device. Pure; the input is the kernel's, but checked like a stranger's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>

#include "base/bytes.h"
#include "tunnel/checksum.h"
#include "tunnel/virtio_header.h"

namespace higgs::tunnel {

class Segmenter {
 public:
  /// nullopt if header and packet do not fit each other. `packet` must outlive the segmenter.
  static std::optional<Segmenter> make(const VirtioHeader& header, ByteView packet) noexcept;

  /// Length of the longest segment: what each `out` of next() must hold.
  std::size_t segment_bytes() const noexcept { return headers_ + std::min(gso_size_, packet_.size() - headers_); }
  std::size_t count() const noexcept { return count_; }
  bool done() const noexcept { return index_ == count_; }
  /// Writes the next segment and returns its length; 0 when done.
  std::size_t next(std::byte* out) noexcept;

 private:
  Segmenter() = default;
  std::size_t pass_through(std::byte* out) const noexcept;
  void finish_ip(std::byte* out, std::size_t length) const noexcept;

  ByteView packet_;
  VirtioHeader header_;
  bool v6_ = false;
  bool tcp_ = false;
  std::size_t transport_ = 0;  ///< where the TCP or UDP header starts
  std::size_t headers_ = 0;    ///< bytes that every segment repeats
  std::size_t gso_size_ = 0;   ///< payload bytes of all segments but the last
  std::size_t count_ = 1;
  std::size_t index_ = 0;
  ChecksumSum addresses_ = 0;
};

}  // namespace higgs::tunnel
