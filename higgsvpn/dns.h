// Makes this machine ask the tunnel's resolvers, and puts back exactly what was there: bytes, symlink, mode.
//
// Three ways, the first that fits: systemd-resolved (where it manages resolv.conf) is told by resolvectl; openresolv by
// resolvconf -x; otherwise /etc/resolv.conf itself is changed. A symlink is replaced by a file of ours and comes back;
// a file is written in place, since it may be a bind mount (containers, ip netns exec), which cannot be renamed over.
// Every step is in the journal first. Whatever somebody else wrote meanwhile is not overwritten at the end.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "tunnel/command.h"
#include "tunnel/undo_journal.h"

namespace higgs::vpn {

enum class DnsError {
  kNotWritable = 1,  ///< resolv.conf can be neither written nor replaced
  kNoServers,
};

/// First line of every resolv.conf that is ours.
inline constexpr std::string_view kResolvConfMarker = "# Made by higgsvpn; what was here comes back at disconnect.\n";
std::string make_resolv_conf(const std::vector<IpAddress>& servers);

struct DnsEnvironment {
  std::filesystem::path resolv_conf = "/etc/resolv.conf";
  std::filesystem::path resolved_directory = "/run/systemd/resolve";
  tunnel::CommandRunner run;  ///< unset: the system's programs
};

class Dns {
 public:
  explicit Dns(tunnel::UndoJournal& journal, DnsEnvironment environment = {});

  /// From here on names are asked of `servers`, through `ifname`. May be called again with others.
  Result<void> apply(const std::string& ifname, const std::vector<IpAddress>& servers);
  /// False if another program has overwritten resolv.conf since: apply() again.
  bool stands() const;

  static tunnel::UndoHandlers undo_handlers(tunnel::CommandRunner run = nullptr);

 private:
  enum class Method { kNone, kResolved, kResolvconf, kFile };
  bool resolved_manages() const;
  bool openresolv_manages() const;
  bool try_resolved(const std::string& ifname, const std::vector<IpAddress>& servers);
  bool try_resolvconf(const std::string& ifname, const std::string& content);
  Result<void> write_file(const std::string& content);

  tunnel::UndoJournal& journal_;
  DnsEnvironment environment_;
  Method method_ = Method::kNone;
  std::string content_;
};

}  // namespace higgs::vpn

HIGGS_ERROR_ENUM(higgs::vpn, DnsError)
