// A TUN interface (Linux: Documentation/networking/tuntap.rst), with virtio headers and segmentation offload where the
// kernel has them. The interface ends with the descriptor.
//
// Threads: one. Non-blocking.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <sys/uio.h>

#include "base/bytes.h"
#include "base/result.h"
#include "tunnel/virtio_header.h"

namespace higgs::tunnel {

class TunDevice {
 public:
  struct Options {
    std::string name;         ///< may hold %d, for which the kernel puts a number
    bool offload = true;      ///< use virtio headers where the kernel has them
    bool udp_offload = true;  ///< USO, Linux ≥ 6.2
  };
  /// What the kernel agreed to.
  struct Features {
    bool virtio = false;  ///< each packet has a virtio header; checksums and TCP segmentation are left to us
    bool udp = false;     ///< UDP segmentation as well
    friend bool operator==(const Features&, const Features&) = default;
  };
  /// The largest packet that can come or go, without its virtio header.
  static constexpr std::size_t kMaxPacketBytes = 65535;

  /// TunnelError: kNoTun, kNotPermitted, kNameTaken, kSystem.
  static Result<TunDevice> open(const Options& options);
  TunDevice(TunDevice&& other) noexcept;
  TunDevice& operator=(TunDevice&&) = delete;
  ~TunDevice();

  int fd() const noexcept { return fd_; }
  const std::string& name() const noexcept { return name_; }
  Features features() const noexcept { return features_; }

  enum class ReadStatus { kPacket, kNothing, kGone };
  struct ReadResult {
    ReadStatus status = ReadStatus::kNothing;
    VirtioHeader header;
    std::size_t length = 0;
  };
  /// `out` should hold kMaxPacketBytes. kNothing: no more now. kGone: the interface was deleted.
  ReadResult read(MutableBytes out) noexcept;
  /// False if the kernel did not take it (the interface is down, or no memory). At most 1023 parts.
  bool write(const VirtioHeader& header, std::span<const iovec> parts) noexcept;

 private:
  TunDevice(int fd, std::string name, Features features) : fd_(fd), name_(std::move(name)), features_(features) {}
  int fd_;
  std::string name_;
  Features features_;
};

}  // namespace higgs::tunnel
