#include "tunnel/tun_device.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tunnel/tunnel_driver.h"

namespace higgs::tunnel {

namespace {

// Linux 6.2 and later; the headers of Debian 12 do not have them.
constexpr unsigned kOffloadUso4 = 0x20, kOffloadUso6 = 0x40;
constexpr std::size_t kMaxParts = 1023;

ErrorCode error_of(int error) {
  switch (error) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
      return TunnelError::kNoTun;
    case EPERM:
    case EACCES:
      return TunnelError::kNotPermitted;
    case EBUSY:
    case EEXIST:
      return TunnelError::kNameTaken;
    default:
      return TunnelError::kSystem;
  }
}

bool attach(int fd, const std::string& name, int flags, std::string& given) {
  ifreq request{};
  request.ifr_flags = static_cast<short>(flags);
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (::ioctl(fd, TUNSETIFF, &request) != 0) return false;
  given.assign(request.ifr_name, ::strnlen(request.ifr_name, IFNAMSIZ));
  return true;
}

/// After attaching with IFF_VNET_HDR: agrees on the header's layout and on what is left to us.
TunDevice::Features negotiate(int fd, bool udp) {
  const int header_bytes = VirtioHeader::kSize, little_endian = 1;
  ::ioctl(fd, TUNSETVNETHDRSZ, &header_bytes);
  ::ioctl(fd, TUNSETVNETLE, &little_endian);
  const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (udp && ::ioctl(fd, TUNSETOFFLOAD, tcp | kOffloadUso4 | kOffloadUso6) == 0) return {true, true};
  ::ioctl(fd, TUNSETOFFLOAD, tcp);
  return {true, false};
}

}  // namespace

Result<TunDevice> TunDevice::open(const Options& options) {
  if (options.name.size() >= IFNAMSIZ) return TunnelError::kSystem;
  const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return error_of(errno);
  std::string name;
  Features features;
  if (options.offload && attach(fd, options.name, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, name)) {
    features = negotiate(fd, options.udp_offload);
  } else if (!attach(fd, options.name, IFF_TUN | IFF_NO_PI, name)) {
    const int error = errno;
    ::close(fd);
    return error_of(error);
  }
  return TunDevice(fd, std::move(name), features);
}

TunDevice::TunDevice(TunDevice&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), name_(std::move(other.name_)), features_(other.features_) {}

TunDevice::~TunDevice() {
  if (fd_ >= 0) ::close(fd_);
}

TunDevice::ReadResult TunDevice::read(MutableBytes out) noexcept {
  ByteArray<VirtioHeader::kSize> header;
  const std::array<iovec, 2> both = {iovec{header.data(), header.size()}, iovec{out.data(), out.size()}};
  const std::span<const iovec> parts = features_.virtio ? std::span(both) : std::span(both).subspan(1);
  while (true) {
    const ssize_t length = ::readv(fd_, parts.data(), static_cast<int>(parts.size()));
    if (length < 0) {
      if (errno == EINTR) continue;
      // EBADFD: detached, which is what deletion of the interface does. EIO: it is down.
      return {errno == EBADFD ? ReadStatus::kGone : ReadStatus::kNothing, {}, 0};
    }
    const std::size_t header_bytes = features_.virtio ? header.size() : 0;
    const auto whole = static_cast<std::size_t>(length);
    if (whole <= header_bytes) continue;
    return {ReadStatus::kPacket, features_.virtio ? VirtioHeader::decode(header) : VirtioHeader{},
            whole - header_bytes};
  }
}

bool TunDevice::write(const VirtioHeader& header, std::span<const iovec> parts) noexcept {
  if (parts.size() > kMaxParts) return false;
  std::array<iovec, kMaxParts + 1> all;
  std::size_t count = 0;
  ByteArray<VirtioHeader::kSize> encoded;
  if (features_.virtio) {
    encoded = header.encode();
    all[count++] = {encoded.data(), encoded.size()};
  }
  for (const iovec& part : parts) all[count++] = part;
  while (true) {
    if (::writev(fd_, all.data(), static_cast<int>(count)) >= 0) return true;
    if (errno != EINTR) return false;
  }
}

}  // namespace higgs::tunnel
