// One `connect` for each network namespace, whatever their state directories: kill switch, policy rules and routing
// table have fixed names there, and the second would take the first one's away at its end.
//
// An abstract UNIX socket (unix(7)): it belongs to the network namespace, leaves no file, and goes with the process.
#pragma once

#include "higgsvpn/failure.h"

namespace higgs::vpn {

class NetworkLock {
 public:
  /// Refused while another process has it. That of one that was just killed may take a moment to come free.
  static Outcome<NetworkLock> take();
  NetworkLock(NetworkLock&& other) noexcept;
  NetworkLock& operator=(NetworkLock&& other) noexcept;
  ~NetworkLock();

 private:
  explicit NetworkLock(int fd) noexcept : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace higgs::vpn
