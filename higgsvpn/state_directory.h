// The client's state directory: where each thing lies, and the small files in it. Mode 0700, files 0600.
//
//   account.json     server, how its certificate is proved, user, tokens      (account.h)
//   account.lock     held while tokens are rotated
//   nodes.json       the highest key sequence seen of each node               (node_trust.h)
//   connect.lock     held by the running `connect`
//   control.sock     of the running `connect`
//   undo.journal     changes of this machine that are to be undone
//   sessions.json    the sessions to end on the server if we died
//   nat.json         what the last `connect` found of the NAT, and whom it asked
//   connect.log      what a detached `connect` has to say
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "base/uuid.h"
#include "runtime/files.h"

namespace higgs::vpn {

class StateDirectory {
 public:
  /// /var/lib/higgsvpn for root, else $XDG_STATE_HOME/higgsvpn or ~/.local/state/higgsvpn.
  static std::filesystem::path default_path();

  explicit StateDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  /// Makes it if it is not there.
  Result<void> prepare() const;
  /// The lock of the one `connect`, or of who cleans up after it. kInUse at once if a living process has it; that of
  /// one that was just killed may take a moment to come free.
  Result<runtime::LockFile> take_connect_lock() const;

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path account() const { return path_ / "account.json"; }
  std::filesystem::path account_lock() const { return path_ / "account.lock"; }
  std::filesystem::path nodes() const { return path_ / "nodes.json"; }
  std::filesystem::path connect_lock() const { return path_ / "connect.lock"; }
  std::filesystem::path control_socket() const { return path_ / "control.sock"; }
  std::filesystem::path journal() const { return path_ / "undo.journal"; }
  std::filesystem::path nat() const { return path_ / "nat.json"; }
  std::filesystem::path log() const { return path_ / "connect.log"; }

  std::vector<SessionId> sessions() const;
  Result<void> remember_sessions(const std::vector<SessionId>& sessions) const;

 private:
  std::filesystem::path sessions_file() const { return path_ / "sessions.json"; }
  std::filesystem::path path_;
};

}  // namespace higgs::vpn
