// The router before this host, for IPv4: where port mappings are asked for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"

namespace higgs::net {

struct DefaultGateway {
  IpAddress address;
  std::string interface;
  friend bool operator==(const DefaultGateway&, const DefaultGateway&) = default;
};

/// Of the text of /proc/net/route (proc(5)): the default route of the least metric that has a gateway. Pure.
std::optional<DefaultGateway> parse_default_gateway(std::string_view routes);
/// Of the main table of this network namespace, so that a tunnel's own table does not count.
std::optional<DefaultGateway> read_default_gateway();

/// Addresses with which a router is itself behind a NAT: private (RFC 1918), shared (RFC 6598), link-local, of DS-Lite
/// (RFC 6333), loopback and unspecified ones.
bool is_behind_nat(const IpAddress& outside) noexcept;

}  // namespace higgs::net
