// The UAPI parser on arbitrary requests; what it accepts must be formattable.
#include <cstdlib>

#include "tools/higgs-wg/uapi.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  const auto request = wg::parse_request(as_text(std::as_bytes(std::span(data, size))));
  if (!request || !request->set) return 0;
  wg::DeviceState state;
  if (request->set->private_key) state.private_key = *request->set->private_key;
  for (const auto& change : request->set->peers) {
    wireguard::PeerStatus peer;
    peer.public_key = change.config.public_key;
    peer.address = change.config.address;
    peer.allowed_ips = change.config.allowed_ips;
    state.peers.push_back(std::move(peer));
  }
  const std::string text = wg::format_state(state);
  if (!text.empty() && text.back() != '\n') std::abort();
  return 0;
}
