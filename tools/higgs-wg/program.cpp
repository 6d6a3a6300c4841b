#include "tools/higgs-wg/program.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "runtime/log.h"
#include "tunnel/netlink.h"
#include "tunnel/userspace_driver.h"

namespace higgs::wg {

namespace log = runtime::log;

namespace {

constexpr std::uint32_t kDefaultMtu = 1420;

int errno_of(const ErrorCode& error) {
  return error.category() == boost::system::generic_category() ? error.value() : EIO;
}

}  // namespace

std::optional<tunnel::Offloads> parse_without(std::string_view words) {
  tunnel::Offloads offloads;
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find(','));
    words.remove_prefix(std::min(words.size(), word.size() + 1));
    const bool all = word == "all";
    if (!all && word != "tun" && word != "tun-udp" && word != "udp-segment" && word != "udp-gather")
      return std::nullopt;
    if (all || word == "tun") offloads.tun = false;
    if (all || word == "tun-udp") offloads.tun_udp = false;
    if (all || word == "udp-segment") offloads.udp_segment = false;
    if (all || word == "udp-gather") offloads.udp_gather = false;
  }
  return offloads;
}

class Program::Signals : private net::FdHandler {
 public:
  explicit Signals(net::EventLoop& loop) : loop_(loop) {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGTERM);
    ::sigaddset(&set, SIGINT);
    fd_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd_ >= 0) loop_.add(fd_, EPOLLIN, *this);
  }
  ~Signals() override {
    if (fd_ < 0) return;
    loop_.remove(fd_);
    ::close(fd_);
  }

 private:
  void on_events(std::uint32_t) override { loop_.stop(); }
  net::EventLoop& loop_;
  int fd_ = -1;
};

Program::Program() = default;
Program::~Program() = default;

Result<std::unique_ptr<Program>> Program::open(const Settings& settings) {
  std::unique_ptr<Program> program(new Program());
  net::EventLoop& loop = program->loop_;
  auto device = tunnel::Device::open(loop, program->random_, {settings.ifname, kDefaultMtu, settings.offloads});
  if (!device) return device.error();
  program->device_ = std::move(*device);
  const std::string name = program->device_->name();

  auto netlink = tunnel::Netlink::open();
  if (!netlink) return netlink.error();
  const auto done = netlink->set_mtu(name, kDefaultMtu);
  if (!done) return done.error();
  tunnel::shape_interface(*netlink, name, kDefaultMtu);

  Program* self = program.get();
  auto uapi = UapiServer::open(loop, settings.socket_directory + "/" + name + ".sock",
                               [self](std::string_view request) { return self->answer(request); });
  if (!uapi) return uapi.error();
  program->uapi_ = std::move(*uapi);
  auto monitor =
      tunnel::LinkMonitor::open(loop, name, [self](const tunnel::LinkState& state) { self->link_changed(state); });
  if (!monitor) return monitor.error();
  program->monitor_ = std::move(*monitor);
  program->signals_ = std::make_unique<Signals>(loop);
  program->uapi_->on_removed([&loop] { loop.stop(); });
  program->device_->on_gone([&loop] { loop.stop(); });
  log::info("interface is ready", {{"interface", name}});
  return program;
}

Result<void> Program::run() {
  loop_.run();
  log::info("interface is closed", {{"interface", device_->name()}});
  return {};
}

void Program::link_changed(const tunnel::LinkState& state) {
  if (!state.exists) return loop_.stop();
  if (state.mtu != device_->mtu()) {
    device_->set_mtu(state.mtu);
    auto netlink = tunnel::Netlink::open();
    if (netlink) tunnel::shape_interface(*netlink, device_->name(), state.mtu);
  }
  if (state.up == device_->is_up()) return;
  const auto done = device_->set_up(state.up);
  if (!done)
    log::error("the UDP port could not be opened",
               {{"port", device_->listen_port()}, {"error", done.error().message()}});
  else
    log::info(state.up ? "interface is up" : "interface is down", {{"interface", device_->name()}});
}

std::string Program::answer(std::string_view text) {
  const auto request = parse_request(text);
  if (!request) return format_errno(EINVAL);
  if (request->set) return format_errno(apply(*request->set));
  DeviceState state{device_->engine().private_key(), device_->listen_port(), device_->mark(),
                    device_->engine().peers()};
  return format_state(state) + format_errno(0);
}

int Program::apply(const SetRequest& request) {
  if (request.private_key) device_->engine().set_private_key(loop_.now(), *request.private_key);
  if (request.listen_port) {
    const auto done = device_->set_listen_port(*request.listen_port);
    if (!done) return errno_of(done.error());
  }
  if (request.fwmark) {
    const auto done = device_->set_mark(*request.fwmark);
    if (!done) return errno_of(done.error());
  }
  if (request.replace_peers) device_->engine().remove_all_peers();
  for (const PeerChange& change : request.peers) {
    if (const int error = apply(change); error != 0) return error;
  }
  return 0;
}

int Program::apply(const PeerChange& change) {
  if (change.remove) {
    device_->engine().remove_peer(change.config.public_key);
    return 0;
  }
  const bool done = device_->with_engine([&](wireguard::Engine& engine, Now now, wireguard::TransmitList& out) {
    return engine.set_peer(now, change.config, change.update_only, out);
  });
  return done ? 0 : ENOSPC;
}

}  // namespace higgs::wg
