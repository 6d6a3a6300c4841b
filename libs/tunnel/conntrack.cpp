#include "tunnel/conntrack.h"

#include <cerrno>
#include <vector>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include "tunnel/netlink_socket.h"

namespace higgs::tunnel {
namespace {

constexpr std::uint16_t message(int type) { return static_cast<std::uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | type); }

void set_family(NetlinkRequest& request, const IpAddress& address) {
  auto& fixed = request.fixed<nfgenmsg>();
  fixed.nfgen_family = address.is_v4() ? AF_INET : AF_INET6;
  fixed.version = NFNETLINK_V0;
}

/// The source address of a tuple: CTA_TUPLE_IP { CTA_IP_V4_SRC | CTA_IP_V6_SRC }.
std::optional<IpAddress> source_of(const nlattr* tuple) {
  std::optional<IpAddress> source;
  each_nested(tuple, [&](std::uint16_t type, const nlattr* attribute) {
    if (type != CTA_TUPLE_IP) return;
    each_nested(attribute, [&](std::uint16_t field, const nlattr* value) {
      if (field == CTA_IP_V4_SRC || field == CTA_IP_V6_SRC) source = attribute_address(value);
    });
  });
  return source;
}

}  // namespace

Result<std::size_t> forget_flows_of(const IpAddress& inside) {
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER);
  if (!socket) return socket.error();
  NetlinkRequest list(message(IPCTNL_MSG_CT_GET), NLM_F_DUMP);
  set_family(list, inside);
  std::vector<Bytes> tuples;
  const auto listed = socket->query(list, [&](const nlmsghdr* flow) {
    each_attribute(flow, sizeof(nfgenmsg), [&](std::uint16_t type, const nlattr* attribute) {
      if (type != CTA_TUPLE_ORIG || tuples.size() >= kMaxFlowsForgotten || source_of(attribute) != inside) return;
      tuples.push_back(to_bytes(
          std::as_bytes(std::span(static_cast<const char*>(static_cast<const void*>(attribute)), attribute->nla_len))));
    });
  });
  if (!listed) return listed.error();
  std::size_t forgotten = 0;
  for (const Bytes& tuple : tuples) {
    NetlinkRequest deletion(message(IPCTNL_MSG_CT_DELETE), 0);
    set_family(deletion, inside);
    deletion.put_copy(static_cast<const nlattr*>(static_cast<const void*>(tuple.data())));
    const auto done = socket->execute(deletion);
    if (done) ++forgotten;
    // It ended by itself meanwhile.
    if (!done && done.error() != errno_code(ENOENT)) return done.error();
  }
  return forgotten;
}

}  // namespace higgs::tunnel
