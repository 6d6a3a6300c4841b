// The relay links of a device, and what was gathered for them.
#include <atomic>

#include "tunnel/demultiplex.h"
#include "tunnel/device.h"

namespace higgs::tunnel {

namespace {

LinkId next_link_id() {
  static std::atomic<LinkId> next{1};
  return next++;
}

}  // namespace

LinkId Device::attach_link(net::UpgradedSocket socket, RelayLinkEvents& events) {
  const LinkId id = next_link_id();
  auto link = std::make_unique<RelayLink>(id, std::move(socket), loop_, static_cast<RelayLinkOwner&>(*this));
  links_.emplace(id, LinkEntry{std::move(link), &events});
  return id;
}

bool Device::detach_link(LinkId link) {
  const auto found = links_.find(link);
  if (found == links_.end() || found->second.events == nullptr) return false;
  found->second.events = nullptr;
  if (found->second.link->ended())
    links_.erase(found);
  else
    found->second.link->close(1000, "");  // the entry goes when it has ended
  return true;
}

RelayLink* Device::link(LinkId link) {
  const auto found = links_.find(link);
  return found == links_.end() || found->second.events == nullptr ? nullptr : found->second.link.get();
}

void Device::on_link_packets(LinkId link, relay::Channel channel, std::span<const MutableBytes> packets) {
  const wireguard::PeerAddress from = relay_address(link, channel);
  datagrams_.clear();
  for (const MutableBytes packet : packets) {
    if (classify(packet) == DatagramKind::kStun) {
      paths_.handle_relayed_stun(from, packet);
      continue;
    }
    const auto size = static_cast<std::uint32_t>(packet.size());
    datagrams_.push_back({packet.data(), size, 0, size});
  }
  if (datagrams_.empty()) return;
  open_batch(from);
  write_tun();
}

void Device::on_link_text(LinkId link, std::string_view text) {
  const auto found = links_.find(link);
  if (found != links_.end() && found->second.events != nullptr)
    found->second.events->on_control(link, std::string(text));
}

void Device::on_link_doubtful(LinkId link) {
  const auto found = links_.find(link);
  if (found != links_.end() && found->second.events != nullptr) found->second.events->on_link_doubtful(link);
}

void Device::on_link_ended(LinkId link, std::uint16_t code, std::string_view reason) {
  const auto found = links_.find(link);
  if (found == links_.end()) return;
  paths_.on_link_gone(link);
  if (found->second.events != nullptr) {
    found->second.events->on_link_closed(link, code, std::string(reason));
    return;
  }
  loop_.post([this, link, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) links_.erase(link);
  });
}

void Device::send_to_link(const wireguard::PeerAddress& to, std::span<const ByteView> packets) {
  const auto found = links_.find(static_cast<LinkId>(to.path >> 32));
  if (found != links_.end() && found->second.events != nullptr)
    found->second.link->send(static_cast<relay::Channel>(to.path & 0xffffffff), packets);
  else
    counters_.no_link += packets.size();
}

}  // namespace higgs::tunnel
