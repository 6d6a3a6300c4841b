// Tells of changes of one interface, by netlink: up, down, another MTU, deleted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/event_loop.h"

namespace higgs::tunnel {

struct LinkState {
  bool exists = false;
  bool up = false;
  std::uint32_t mtu = 0;
  friend bool operator==(const LinkState&, const LinkState&) = default;
};

/// Calls `changed` with the state when it starts (from within the loop) and at every change. Loop's thread.
class LinkMonitor : private net::FdHandler {
 public:
  static Result<std::unique_ptr<LinkMonitor>> open(net::EventLoop& loop, std::string ifname,
                                                   std::function<void(const LinkState&)> changed);
  ~LinkMonitor() override;

 private:
  LinkMonitor(net::EventLoop& loop, int fd, std::string ifname, std::function<void(const LinkState&)> changed);
  void on_events(std::uint32_t events) override;
  void look();

  net::EventLoop& loop_;
  int fd_;
  std::string ifname_;
  std::function<void(const LinkState&)> changed_;
  LinkState last_;
  bool told_ = false;
  net::EventLoop::TimerId first_look_;
};

}  // namespace higgs::tunnel
