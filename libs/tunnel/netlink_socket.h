// Requests over netlink and their answers, over libmnl: what those who speak to rtnetlink and conntrack share.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/result.h"

struct mnl_socket;
struct nlattr;
struct nlmsghdr;

namespace higgs::tunnel {

/// A message under construction: a header, the family's fixed part and attributes behind it.
class NetlinkRequest {
 public:
  NetlinkRequest(std::uint16_t type, std::uint16_t flags);
  /// The fixed part (struct ifinfomsg and so on), zeroed.
  template <class T>
  T& fixed() {
    return *static_cast<T*>(extra(sizeof(T)));
  }
  void put(std::uint16_t type, std::uint32_t value);
  void put(std::uint16_t type, const std::string& text);
  void put(std::uint16_t type, const IpAddress& address);
  /// An attribute of another message, as it is.
  void put_copy(const nlattr* attribute);
  nlmsghdr* header() noexcept { return static_cast<nlmsghdr*>(static_cast<void*>(buffer_.data())); }

 private:
  void* extra(std::size_t bytes);
  alignas(8) std::array<char, 1024> buffer_{};
};

class NetlinkSocket {
 public:
  /// `protocol`: NETLINK_ROUTE or another of linux/netlink.h.
  static Result<NetlinkSocket> open(int protocol = 0);
  NetlinkSocket(NetlinkSocket&& other) noexcept;
  NetlinkSocket& operator=(NetlinkSocket&&) = delete;
  ~NetlinkSocket();

  /// Sends and waits for the acknowledgement.
  Result<void> execute(NetlinkRequest& request);
  /// Sends and calls `each` for every message of the answer.
  Result<void> query(NetlinkRequest& request, const std::function<void(const nlmsghdr*)>& each);

 private:
  explicit NetlinkSocket(mnl_socket* socket) noexcept : socket_(socket) {}
  mnl_socket* socket_;
  std::uint32_t sequence_ = 0;
};

/// The attributes behind the fixed part of a message.
void each_attribute(const nlmsghdr* message, std::size_t fixed_bytes,
                    const std::function<void(std::uint16_t type, const nlattr* attribute)>& each);
/// Those inside an attribute.
void each_nested(const nlattr* parent, const std::function<void(std::uint16_t type, const nlattr* attribute)>& each);
std::uint32_t attribute_u32(const nlattr* attribute);
std::string attribute_text(const nlattr* attribute);
std::optional<IpAddress> attribute_address(const nlattr* attribute);

}  // namespace higgs::tunnel
