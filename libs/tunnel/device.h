// The data path of one interface: TUN device, UDP port, relay links and the WireGuard engine between them, on one event
// loop. Packets travel in batches through pooled slots; nothing is allocated for a packet.
//
// Sending: super-packets are read from the TUN, split into slots [headroom with the WireGuard header | packet | tag],
// sealed in place, and leave as trains. Receiving: trains are opened in place, merged, and written to the TUN.
//
// Threads: the loop's (or before it runs). TunnelDriver (userspace_driver.cpp) makes one usable from other threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "net/event_loop.h"
#include "net/udp_socket.h"
#include "tunnel/coalescer.h"
#include "tunnel/packet_slots.h"
#include "tunnel/peer_paths.h"
#include "tunnel/reflexive_monitor.h"
#include "tunnel/relay_link.h"
#include "tunnel/tun_device.h"
#include "tunnel/tunnel_driver.h"
#include "wireguard/engine.h"

namespace higgs::tunnel {

/// Which offloads to use where the kernel has them; all, but for tests and for finding faults.
struct Offloads {
  bool tun = true;
  bool tun_udp = true;
  bool udp_segment = true;
  bool udp_gather = true;
};

struct DeviceCounters {
  std::uint64_t malformed = 0;  ///< from the TUN: headers that do not fit the packet
  std::uint64_t oversized = 0;  ///< from the TUN: longer than a slot or a datagram holds
  std::uint64_t no_link = 0;    ///< for a relay link that is not there
  std::uint64_t not_taken = 0;  ///< the TUN refused it
  std::uint64_t stray = 0;      ///< datagrams that are neither WireGuard nor STUN
};

class Device : private RelayLinkOwner, private PeerPathsOwner {
 public:
  struct Options {
    std::string name;
    std::uint32_t mtu = 1420;
    Offloads offloads;
  };
  static Result<std::unique_ptr<Device>> open(net::EventLoop& loop, RandomSource& random, const Options& options);
  ~Device() override;

  const std::string& name() const noexcept { return tun_.name(); }
  std::uint32_t mtu() const noexcept { return mtu_; }
  void set_mtu(std::uint32_t mtu);
  /// Called (once) when the interface was deleted.
  void on_gone(std::function<void()> action) { on_gone_ = std::move(action); }

  /// Up: the UDP port is open and the protocol runs. The interface itself is not touched.
  Result<void> set_up(bool up);
  bool is_up() const noexcept { return up_; }
  /// 0: a free one, chosen when it goes up. An error leaves the old port.
  Result<void> set_listen_port(std::uint16_t port);
  std::uint16_t listen_port() const noexcept { return port_; }
  Result<void> set_mark(std::uint32_t mark);
  std::uint32_t mark() const noexcept { return mark_; }

  /// The engine, for reading and for what does not send.
  wireguard::Engine& engine() noexcept { return engine_; }
  /// For what may send: calls `action(engine, now, transmits)` and sends what came of it.
  template <class Action>
  auto with_engine(Action&& action) {
    transmits_.clear();
    auto result = action(engine_, loop_.now(), transmits_);
    send_transmits();
    arm_timer();
    return result;
  }

  /// As TunnelDriver's of these names.
  bool set_peer(const wireguard::PeerConfig& peer);
  bool remove_peer(const wireguard::PublicKey& key);
  bool start_traversal(const wireguard::PublicKey& peer, const wireguard::PeerAddress& relay,
                       path::TraversalOptions options, TraversalEvents& events);
  bool stop_traversal(const wireguard::PublicKey& peer);
  void set_traversal_network(const TraversalNetwork& network, bool moved);
  PeerPaths& paths() noexcept { return paths_; }
  std::vector<Endpoint> reflexive_addresses() const { return reflexive_.addresses(); }

  LinkId attach_link(net::UpgradedSocket socket, RelayLinkEvents& events);
  bool detach_link(LinkId link);
  /// Null if there is none of that id.
  RelayLink* link(LinkId link);

  TraversalCounters traversal_counters() const noexcept {
    TraversalCounters all = paths_.counters();
    all.stray += counters_.stray;
    return all;
  }
  const DeviceCounters& counters() const noexcept { return counters_; }
  const Coalescer::Counters& coalescer_counters() const noexcept { return coalescer_.counters(); }

 private:
  /// Readiness of one descriptor, as a call.
  class Readiness : public net::FdHandler {
   public:
    Readiness(Device& device, void (Device::*action)(std::uint32_t)) : device_(device), action_(action) {}
    void on_events(std::uint32_t events) override { (device_.*action_)(events); }

   private:
    Device& device_;
    void (Device::*action_)(std::uint32_t);
  };
  struct LinkEntry {
    std::unique_ptr<RelayLink> link;
    RelayLinkEvents* events = nullptr;  ///< null: detached, only saying goodbye
  };

  Device(net::EventLoop& loop, RandomSource& random, TunDevice tun, const Options& options);
  void on_link_packets(LinkId link, relay::Channel channel, std::span<const MutableBytes> packets) override;
  void on_link_text(LinkId link, std::string_view text) override;
  void on_link_doubtful(LinkId link) override;
  void on_link_ended(LinkId link, std::uint16_t code, std::string_view reason) override;
  void send_from_port(const Endpoint& to, std::span<const ByteView> packets, bool request) override;
  void send_to_link(const wireguard::PeerAddress& relay, std::span<const ByteView> packets) override;
  void on_turn_packets(const wireguard::PeerAddress& from, std::span<const MutableBytes> packets) override;
  void on_direct_lost() override;

  void on_tun(std::uint32_t events);
  void on_udp4(std::uint32_t events);
  void on_udp6(std::uint32_t events);
  void read_tun();
  void split(const TunDevice::ReadResult& read);
  void seal_batch();
  void receive_udp(int fd);
  void sort_in(const Endpoint& from, MutableBytes datagram);
  void open_batch(const wireguard::PeerAddress& from);
  void note_delivered(const wireguard::PeerAddress& from);
  void write_tun();
  void send_transmits();
  void arm_timer();
  path::LocalAddresses local_addresses() const;
  void update_local(bool moved);
  void service_reflexive();
  void gone();
  Result<net::UdpSocket> open_udp(std::uint16_t port) const;
  void watch_udp();
  void close_udp();

  net::EventLoop& loop_;
  TunDevice tun_;
  Offloads offloads_;
  std::uint32_t mtu_;
  wireguard::Engine engine_;
  std::optional<net::UdpSocket> udp_;
  bool up_ = false;
  bool gone_ = false;
  std::uint16_t port_ = 0;
  std::uint32_t mark_ = 0;
  std::function<void()> on_gone_;

  PacketSlots slots_;
  Bytes read_buffer_;
  std::vector<wireguard::PacketBuffer> datagrams_;
  std::vector<wireguard::Delivered> delivered_;
  wireguard::TransmitList transmits_;
  std::vector<ByteView> views_;
  Coalescer coalescer_;
  DeviceCounters counters_;

  Readiness tun_ready_, udp4_ready_, udp6_ready_;
  std::optional<net::EventLoop::TimerId> timer_;
  Instant timer_due_{};
  std::uint64_t end_of_turn_;

  std::map<LinkId, LinkEntry> links_;
  PeerPaths paths_;
  TraversalNetwork network_;
  ReflexiveMonitor reflexive_;
  DeadlineTimer reflexive_timer_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  ///< for what was posted and outlives us
};

}  // namespace higgs::tunnel
