#include "tunnel/netlink_socket.h"

#include <cerrno>
#include <utility>
#include <vector>

#include <boost/system/error_code.hpp>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

namespace higgs::tunnel {

NetlinkRequest::NetlinkRequest(std::uint16_t type, std::uint16_t flags) {
  mnl_nlmsg_put_header(buffer_.data());
  header()->nlmsg_type = type;
  header()->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
}

void* NetlinkRequest::extra(std::size_t bytes) { return mnl_nlmsg_put_extra_header(header(), bytes); }

void NetlinkRequest::put(std::uint16_t type, std::uint32_t value) { mnl_attr_put_u32(header(), type, value); }

void NetlinkRequest::put(std::uint16_t type, const std::string& text) {
  // Names longer than an interface's can be would only overflow the buffer: the kernel refuses them anyway.
  mnl_attr_put_strz(header(), type, text.substr(0, 255).c_str());
}

void NetlinkRequest::put(std::uint16_t type, const IpAddress& address) {
  mnl_attr_put(header(), type, address.bytes().size(), address.bytes().data());
}

void NetlinkRequest::put_copy(const nlattr* attribute) {
  if (header()->nlmsg_len + attribute->nla_len > buffer_.size()) return;
  mnl_attr_put(header(), attribute->nla_type, mnl_attr_get_payload_len(attribute), mnl_attr_get_payload(attribute));
}

static_assert(NETLINK_ROUTE == 0, "the default of open()");

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  mnl_socket* socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
  if (socket == nullptr) return errno_code(errno);
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
    const int error = errno;
    mnl_socket_close(socket);
    return errno_code(error);
  }
  return NetlinkSocket(socket);
}

NetlinkSocket::NetlinkSocket(NetlinkSocket&& other) noexcept
    : socket_(std::exchange(other.socket_, nullptr)), sequence_(other.sequence_) {}

NetlinkSocket::~NetlinkSocket() {
  if (socket_ != nullptr) mnl_socket_close(socket_);
}

Result<void> NetlinkSocket::execute(NetlinkRequest& request) {
  request.header()->nlmsg_flags |= NLM_F_ACK;
  return query(request, [](const nlmsghdr*) {});
}

Result<void> NetlinkSocket::query(NetlinkRequest& request, const std::function<void(const nlmsghdr*)>& each) {
  nlmsghdr* header = request.header();
  header->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_, header, header->nlmsg_len) < 0) return errno_code(errno);

  alignas(nlmsghdr) std::array<char, 32768> buffer;
  const auto visit = [](const nlmsghdr* message, void* context) {
    (*static_cast<const std::function<void(const nlmsghdr*)>*>(context))(message);
    return MNL_CB_OK;
  };
  void* context = const_cast<std::function<void(const nlmsghdr*)>*>(&each);
  const bool single = (header->nlmsg_flags & (NLM_F_DUMP | NLM_F_ACK)) == 0;
  while (true) {
    const ssize_t length = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
    if (length < 0) {
      if (errno == EINTR) continue;
      return errno_code(errno);
    }
    const int outcome = mnl_cb_run(buffer.data(), static_cast<std::size_t>(length), header->nlmsg_seq,
                                   mnl_socket_get_portid(socket_), visit, context);
    if (outcome < 0) return errno_code(errno);
    if (outcome == MNL_CB_STOP || single) return {};
  }
}

void each_attribute(const nlmsghdr* message, std::size_t fixed_bytes,
                    const std::function<void(std::uint16_t type, const nlattr* attribute)>& each) {
  const auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(message, fixed_bytes));
  const char* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(message));
  while (
      mnl_attr_ok(attribute, static_cast<int>(end - static_cast<const char*>(static_cast<const void*>(attribute))))) {
    each(mnl_attr_get_type(attribute), attribute);
    attribute = mnl_attr_next(attribute);
  }
}

void each_nested(const nlattr* parent, const std::function<void(std::uint16_t type, const nlattr* attribute)>& each) {
  const auto* attribute = static_cast<const nlattr*>(mnl_attr_get_payload(parent));
  const char* end = static_cast<const char*>(mnl_attr_get_payload(parent)) + mnl_attr_get_payload_len(parent);
  while (
      mnl_attr_ok(attribute, static_cast<int>(end - static_cast<const char*>(static_cast<const void*>(attribute))))) {
    each(mnl_attr_get_type(attribute), attribute);
    attribute = mnl_attr_next(attribute);
  }
}

std::uint32_t attribute_u32(const nlattr* attribute) {
  return mnl_attr_get_payload_len(attribute) >= sizeof(std::uint32_t) ? mnl_attr_get_u32(attribute) : 0;
}

std::string attribute_text(const nlattr* attribute) {
  const std::string_view text(static_cast<const char*>(mnl_attr_get_payload(attribute)),
                              mnl_attr_get_payload_len(attribute));
  return std::string(text.substr(0, text.find('\0')));
}

std::optional<IpAddress> attribute_address(const nlattr* attribute) {
  const auto* bytes = static_cast<const std::byte*>(mnl_attr_get_payload(attribute));
  const std::size_t length = mnl_attr_get_payload_len(attribute);
  if (length == 4) {
    ByteArray<4> v4;
    std::copy_n(bytes, 4, v4.begin());
    return IpAddress::v4(v4);
  }
  if (length == 16) {
    ByteArray<16> v6;
    std::copy_n(bytes, 16, v6.begin());
    return IpAddress::v6(v6);
  }
  return std::nullopt;
}

}  // namespace higgs::tunnel
