#include "tunnel/nft_tables.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <memory>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

namespace higgs::tunnel {
namespace {

constexpr std::size_t kBufferBytes = 8192;

struct CloseSocket {
  void operator()(mnl_socket* socket) const noexcept { mnl_socket_close(socket); }
};
using Socket = std::unique_ptr<mnl_socket, CloseSocket>;

nlmsghdr* put_header(mnl_nlmsg_batch* batch, std::uint16_t type, std::uint16_t flags, std::uint32_t sequence,
                     std::uint8_t family, std::uint16_t resource) {
  nlmsghdr* header = mnl_nlmsg_put_header(mnl_nlmsg_batch_current(batch));
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  header->nlmsg_seq = sequence;
  auto* extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  extra->nfgen_family = family;
  extra->version = NFNETLINK_V0;
  extra->res_id = static_cast<std::uint16_t>(__builtin_bswap16(resource));
  return header;
}

constexpr std::uint16_t nft_message(int type) { return static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | type); }

// One transaction: begin, the deletion, end. True if the kernel acknowledges it.
bool delete_one(mnl_socket* socket, std::uint8_t family, const std::string& table, const char* chain) {
  std::array<char, 2 * kBufferBytes> buffer{};
  mnl_nlmsg_batch* batch = mnl_nlmsg_batch_start(buffer.data(), kBufferBytes);
  const auto sequence = static_cast<std::uint32_t>(std::time(nullptr));
  put_header(batch, NFNL_MSG_BATCH_BEGIN, 0, sequence, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  mnl_nlmsg_batch_next(batch);
  nlmsghdr* header = put_header(batch, nft_message(chain != nullptr ? NFT_MSG_DELCHAIN : NFT_MSG_DELTABLE),
                                NLM_F_ACK | NLM_F_NONREC, sequence + 1, family, 0);
  if (chain != nullptr) {
    mnl_attr_put_strz(header, NFTA_CHAIN_TABLE, table.c_str());
    mnl_attr_put_strz(header, NFTA_CHAIN_NAME, chain);
  } else {
    mnl_attr_put_strz(header, NFTA_TABLE_NAME, table.c_str());
  }
  mnl_nlmsg_batch_next(batch);
  put_header(batch, NFNL_MSG_BATCH_END, 0, sequence + 2, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  mnl_nlmsg_batch_next(batch);
  const ssize_t sent = mnl_socket_sendto(socket, mnl_nlmsg_batch_head(batch), mnl_nlmsg_batch_size(batch));
  mnl_nlmsg_batch_stop(batch);
  if (sent < 0) return false;
  std::array<char, kBufferBytes> answer;
  const ssize_t received = mnl_socket_recvfrom(socket, answer.data(), answer.size());
  return received > 0 && mnl_cb_run(answer.data(), static_cast<std::size_t>(received), sequence + 1,
                                    mnl_socket_get_portid(socket), nullptr, nullptr) >= 0;
}

}  // namespace

bool delete_empty_nft_table(bool v6, const std::string& table) {
  const Socket socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (socket == nullptr || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return false;
  const timeval patience{2, 0};
  ::setsockopt(mnl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const std::uint8_t family = v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
  for (const char* chain : {"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"}) {
    (void)delete_one(socket.get(), family, table, chain);  // it may never have been made
  }
  return delete_one(socket.get(), family, table, nullptr);
}

}  // namespace higgs::tunnel
