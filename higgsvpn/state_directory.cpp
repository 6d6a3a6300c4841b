#include "higgsvpn/state_directory.h"

#include <cstdlib>
#include <thread>

#include <nlohmann/json.hpp>
#include <signal.h>
#include <unistd.h>

namespace higgs::vpn {
namespace {

constexpr std::chrono::seconds kDirectoryLockPatience{5};
constexpr std::chrono::milliseconds kDirectoryLockRetry{10};

}  // namespace

std::filesystem::path StateDirectory::default_path() {
  if (::geteuid() == 0) return "/var/lib/higgsvpn";
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state != '\0') {
    return std::filesystem::path(state) / "higgsvpn";
  }
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : "/tmp") / ".local/state/higgsvpn";
}

Result<void> StateDirectory::prepare() const { return runtime::make_private_directory(path_); }

Result<runtime::LockFile> StateDirectory::take_connect_lock() const {
  const auto give_up = std::chrono::steady_clock::now() + kDirectoryLockPatience;
  for (;;) {
    auto lock = runtime::LockFile::acquire(connect_lock());
    if (lock || lock.error() != runtime::make_error_code(runtime::FileError::kInUse)) return lock;
    const auto holder = runtime::LockFile::holder(connect_lock());
    const bool alive = holder && (::kill(*holder, 0) == 0 || errno == EPERM);
    if (alive || std::chrono::steady_clock::now() > give_up) return lock;
    std::this_thread::sleep_for(kDirectoryLockRetry);
  }
}

std::vector<SessionId> StateDirectory::sessions() const {
  std::vector<SessionId> result;
  const auto text = runtime::read_file_if_there(sessions_file());
  if (!text || !*text) return result;
  const auto list = nlohmann::json::parse(**text, nullptr, false);
  if (!list.is_array()) return result;
  for (const auto& entry : list) {
    const auto id = entry.is_string() ? parse_id<SessionId>(entry.get<std::string>()) : std::nullopt;
    if (id) result.push_back(*id);
  }
  return result;
}

Result<void> StateDirectory::remember_sessions(const std::vector<SessionId>& sessions) const {
  if (sessions.empty()) return runtime::remove_file(sessions_file());
  auto list = nlohmann::json::array();
  for (const SessionId& id : sessions) list.push_back(to_string(id));
  return runtime::write_file_atomic(sessions_file(), list.dump());
}

}  // namespace higgs::vpn
