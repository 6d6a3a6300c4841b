// `connect --detach`: the work goes on in a child without a terminal, and the parent waits for the word how it went.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace higgs::vpn {

/// The child's line to the waiting parent.
class DetachedParent {
 public:
  DetachedParent() = default;
  explicit DetachedParent(int fd) noexcept : fd_(fd) {}
  DetachedParent(DetachedParent&& other) noexcept;
  DetachedParent& operator=(DetachedParent&& other) noexcept;
  ~DetachedParent();
  /// Says what the parent prints and exits with; later calls do nothing.
  void tell(int exit_code, const std::string& text);

 private:
  int fd_ = -1;
};

/// Forks. In the child: runs `work` in a session of its own, with stdin empty and output going to `log`, and exits with
/// its status. In the parent: returns what the child told (printing its text: to stdout if the code is 0, else stderr).
/// Must be called before there is a second thread.
int run_detached(const std::filesystem::path& log, const std::function<int(DetachedParent parent)>& work);

}  // namespace higgs::vpn
