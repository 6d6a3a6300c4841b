// The cross-platform userspace API of WireGuard (https://www.wireguard.com/xplatform/) as functions: requests to
// values, values to answers. Pure but for the name of a zone (RFC 4007), which is an interface of this machine.
//
// A request is "get=1" or "set=1" and lines "key=value" up to an empty line. Answers end with "errno=N" (0, or a
// negative errno as wireguard-go has it) and an empty line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wireguard/engine.h"

namespace higgs::wg {

/// A step of a set request, in order. A peer whose lines add a prefix and then remove it takes two.
struct PeerChange {
  wireguard::PeerConfig config;
  bool remove = false;
  bool update_only = false;
};

struct SetRequest {
  std::optional<wireguard::PrivateKey> private_key;
  std::optional<std::uint16_t> listen_port;
  std::optional<std::uint32_t> fwmark;
  bool replace_peers = false;
  std::vector<PeerChange> peers;
};

/// What a get answers with.
struct DeviceState {
  wireguard::PrivateKey private_key;
  std::uint16_t listen_port = 0;
  std::uint32_t fwmark = 0;
  std::vector<wireguard::PeerStatus> peers;
};

struct Request {
  std::optional<SetRequest> set;  ///< unset: get
};

/// `text`: the lines before the empty one, each ended by a newline. nullopt: answer with EINVAL; nothing was changed.
std::optional<Request> parse_request(std::string_view text);

/// Without the errno line.
std::string format_state(const DeviceState& state);
/// "errno=N" and the empty line; `error` is 0 or a positive errno.
std::string format_errno(int error);

}  // namespace higgs::wg
