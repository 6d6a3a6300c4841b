#include "tunnel/userspace_driver.h"

#include <algorithm>
#include <future>
#include <thread>

#include "runtime/log.h"
#include "tunnel/device.h"
#include "tunnel/ipv6_state.h"
#include "tunnel/netlink.h"
#include "tunnel/tunnel_driver.h"

namespace higgs::tunnel {

namespace log = runtime::log;
namespace errc = boost::system::errc;

namespace {

constexpr std::uint32_t kMaxDatagram = 65507, kTrainPackets = 64, kOverhead = 32;
/// The TUN's queue counts super-packets: a thousand, the usual figure, would be 64 MB.
constexpr std::uint32_t kQueuePackets = 128;
constexpr std::uint32_t kMaxGsoBytes = 65535;

/// A device on a thread of its own, driven from the control thread by calls that are waited for.
class UserspaceDriver : public TunnelDriver {
 public:
  static Result<std::unique_ptr<TunnelDriver>> make(const InterfaceConfig& config);
  ~UserspaceDriver() override;

  const std::string& name() const override { return name_; }
  Result<void> set_peer(const wireguard::PeerConfig& peer) override;
  Result<void> remove_peer(const wireguard::PublicKey& key) override;
  Result<void> restart_handshake(const wireguard::PublicKey& key) override;
  Result<InterfaceStatus> status() override;
  Result<std::optional<wireguard::PeerStatus>> peer_status(const wireguard::PublicKey& key) override;
  Result<LinkId> attach_link(net::UpgradedSocket socket, RelayLinkEvents& events) override;
  Result<void> send_control(LinkId link, std::string message) override;
  Result<void> detach_link(LinkId link) override;
  Result<LinkStatus> link_status(LinkId link) override;
  Result<void> start_traversal(const wireguard::PublicKey& peer, const wireguard::PeerAddress& relay,
                               path::TraversalOptions options, TraversalEvents& events) override;
  Result<void> stop_traversal(const wireguard::PublicKey& peer) override;
  Result<void> set_traversal_relay(const wireguard::PublicKey& peer,
                                   std::optional<wireguard::PeerAddress> relay) override;
  Result<void> traversal_signal(const wireguard::PublicKey& peer, const relay::PeerMessage& message) override;
  Result<std::optional<path::TraversalReport>> traversal_report(const wireguard::PublicKey& peer) override;
  Result<void> set_traversal_network(const TraversalNetwork& network, bool moved) override;
  Result<std::vector<Endpoint>> reflexive_addresses() override;

 private:
  /// Runs `action` on the device's thread and waits for its result.
  template <class Action>
  auto call(Action action) -> std::invoke_result_t<Action, Device&> {
    using Outcome = std::invoke_result_t<Action, Device&>;
    // Shared, since what is posted must be copyable.
    const auto task = std::make_shared<std::packaged_task<Outcome()>>([&] { return action(*device_); });
    std::future<Outcome> outcome = task->get_future();
    loop_.post([task] { (*task)(); });
    return outcome.get();
  }
  Result<void> configure(const InterfaceConfig& config);

  std::string name_;
  SystemRandom random_;
  net::EventLoop loop_;
  std::unique_ptr<Device> device_;
  std::thread thread_;
};

ErrorCode error_of(ErrorCode error) {
  if (error == errc::address_in_use) return TunnelError::kPortTaken;
  if (error == errc::operation_not_permitted || error == errc::permission_denied) return TunnelError::kNotPermitted;
  return error;
}

Result<std::unique_ptr<TunnelDriver>> UserspaceDriver::make(const InterfaceConfig& config) {
  auto driver = std::make_unique<UserspaceDriver>();
  auto device = Device::open(driver->loop_, driver->random_, {config.name, config.mtu, {}});
  if (!device) return device.error();
  driver->device_ = std::move(*device);
  driver->name_ = driver->device_->name();
  const auto configured = driver->configure(config);
  if (!configured) return error_of(configured.error());
  driver->thread_ = std::thread([&loop = driver->loop_] { loop.run(); });
  return std::unique_ptr<TunnelDriver>(std::move(driver));
}

/// Before the thread runs. Whatever was done when it fails goes with the interface.
Result<void> UserspaceDriver::configure(const InterfaceConfig& config) {
  auto netlink = Netlink::open();
  if (!netlink) return netlink.error();
  device_->engine().set_private_key(loop_.now(), config.private_key);
  auto done = device_->set_mark(config.fwmark);
  if (done) done = device_->set_listen_port(config.listen_port.value_or(0));
  if (done) done = device_->set_up(true);
  if (done) done = netlink->set_mtu(name_, config.mtu);
  if (done) shape_interface(*netlink, name_, config.mtu);
  for (const IpPrefix& address : config.addresses) {
    if (!done) break;
    if (address.address().is_v6() && !ipv6_is_on(name_)) continue;
    done = netlink->add_address(name_, address.address(), address.length());
    if (!done && address.address().is_v6()) {
      log::warn("the interface gets no IPv6 address", {{"interface", name_}, {"error", done.error().message()}});
      done = Result<void>{};
    }
  }
  if (done) done = netlink->set_up(name_, true);
  return done;
}

UserspaceDriver::~UserspaceDriver() {
  if (thread_.joinable()) {
    // Behind what was posted before; the turn that stops still sends what those calls had to send.
    loop_.post([this] { loop_.stop(); });
    thread_.join();
  }
}

Result<void> UserspaceDriver::set_peer(const wireguard::PeerConfig& peer) {
  return call([&](Device& device) -> Result<void> {
    if (!device.set_peer(peer)) return TunnelError::kLimit;
    return {};
  });
}

Result<void> UserspaceDriver::remove_peer(const wireguard::PublicKey& key) {
  return call([&](Device& device) -> Result<void> {
    if (!device.remove_peer(key)) return TunnelError::kNoSuchPeer;
    return {};
  });
}

Result<void> UserspaceDriver::restart_handshake(const wireguard::PublicKey& key) {
  return call([&](Device& device) -> Result<void> {
    if (!device.engine().peer(key)) return TunnelError::kNoSuchPeer;
    device.with_engine([&](wireguard::Engine& engine, Now now, wireguard::TransmitList& out) {
      engine.restart_handshake(now, key, out);
      return true;
    });
    return {};
  });
}

Result<InterfaceStatus> UserspaceDriver::status() {
  return call([](Device& device) -> Result<InterfaceStatus> {
    return InterfaceStatus{device.name(),           device.listen_port(),       device.mtu(),
                           device.engine().peers(), device.engine().counters(), device.traversal_counters()};
  });
}

Result<std::optional<wireguard::PeerStatus>> UserspaceDriver::peer_status(const wireguard::PublicKey& key) {
  return call([&](Device& device) -> Result<std::optional<wireguard::PeerStatus>> {
    auto status = device.engine().peer(key);
    if (status) {
      status->allowed_ips.clear();
      status->preshared_key.wipe();
    }
    return status;
  });
}

Result<LinkId> UserspaceDriver::attach_link(net::UpgradedSocket socket, RelayLinkEvents& events) {
  return call([&](Device& device) -> Result<LinkId> { return device.attach_link(std::move(socket), events); });
}

Result<void> UserspaceDriver::send_control(LinkId link, std::string message) {
  return call([&](Device& device) -> Result<void> {
    RelayLink* found = device.link(link);
    if (found == nullptr || !found->send_text(message)) return TunnelError::kNoSuchLink;
    return {};
  });
}

Result<void> UserspaceDriver::detach_link(LinkId link) {
  return call([&](Device& device) -> Result<void> {
    if (!device.detach_link(link)) return TunnelError::kNoSuchLink;
    return {};
  });
}

Result<LinkStatus> UserspaceDriver::link_status(LinkId link) {
  return call([&](Device& device) -> Result<LinkStatus> {
    const RelayLink* found = device.link(link);
    if (found == nullptr) return TunnelError::kNoSuchLink;
    return found->status();
  });
}

Result<void> UserspaceDriver::start_traversal(const wireguard::PublicKey& peer, const wireguard::PeerAddress& relay,
                                              path::TraversalOptions options, TraversalEvents& events) {
  return call([&](Device& device) -> Result<void> {
    if (!device.start_traversal(peer, relay, std::move(options), events)) return TunnelError::kNoSuchPeer;
    return {};
  });
}

Result<void> UserspaceDriver::stop_traversal(const wireguard::PublicKey& peer) {
  return call([&](Device& device) -> Result<void> {
    if (!device.stop_traversal(peer)) return TunnelError::kNoSuchPeer;
    return {};
  });
}

Result<void> UserspaceDriver::set_traversal_relay(const wireguard::PublicKey& peer,
                                                  std::optional<wireguard::PeerAddress> relay) {
  return call([&](Device& device) -> Result<void> {
    if (!device.paths().set_relay(peer, relay)) return TunnelError::kNoSuchPeer;
    return {};
  });
}

Result<void> UserspaceDriver::traversal_signal(const wireguard::PublicKey& peer, const relay::PeerMessage& message) {
  return call([&](Device& device) -> Result<void> {
    if (!device.paths().handle_signal(peer, message)) return TunnelError::kNoSuchPeer;
    return {};
  });
}

Result<std::optional<path::TraversalReport>> UserspaceDriver::traversal_report(const wireguard::PublicKey& peer) {
  return call(
      [&](Device& device) -> Result<std::optional<path::TraversalReport>> { return device.paths().report(peer); });
}

Result<void> UserspaceDriver::set_traversal_network(const TraversalNetwork& network, bool moved) {
  return call([&](Device& device) -> Result<void> {
    device.set_traversal_network(network, moved);
    return {};
  });
}

Result<std::vector<Endpoint>> UserspaceDriver::reflexive_addresses() {
  return call([](Device& device) -> Result<std::vector<Endpoint>> { return device.reflexive_addresses(); });
}

}  // namespace

std::uint32_t train_segments(std::uint32_t mtu) noexcept {
  return std::clamp<std::uint32_t>(kMaxDatagram / (mtu + kOverhead), 1, kTrainPackets);
}

void shape_interface(Netlink& netlink, const std::string& ifname, std::uint32_t mtu) {
  auto done = netlink.set_tx_queue_length(ifname, kQueuePackets);
  if (done) done = netlink.set_gso_limits(ifname, train_segments(mtu), kMaxGsoBytes);
  if (!done)
    log::warn("the interface's limits are not set", {{"interface", ifname}, {"error", done.error().message()}});
}

Result<std::unique_ptr<TunnelDriver>> make_userspace_driver(const InterfaceConfig& config) {
  return UserspaceDriver::make(config);
}

}  // namespace higgs::tunnel

HIGGS_ERROR_CATEGORY(higgs::tunnel, TunnelError, "tunnel") {
  switch (error) {
    case TunnelError::kNoTun:
      return "/dev/net/tun is missing: load the tun module, or give the container the device";
    case TunnelError::kNotPermitted:
      return "not permitted: this needs root or CAP_NET_ADMIN";
    case TunnelError::kNameTaken:
      return "an interface of that name is in use";
    case TunnelError::kPortTaken:
      return "the UDP port is in use";
    case TunnelError::kNoSuchPeer:
      return "no such peer";
    case TunnelError::kNoSuchLink:
      return "no such relay link";
    case TunnelError::kLimit:
      return "a limit of the tunnel is reached";
    case TunnelError::kSystem:
      return "the system refused";
  }
  return "unknown tunnel error";
}
