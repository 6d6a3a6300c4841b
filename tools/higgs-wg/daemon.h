// Goes to the background as wireguard-go does: the command ends once the interface is there, with the status that tells
// whether it is.
#pragma once

namespace higgs::wg {

class Daemon {
 public:
  ~Daemon();
  /// Returns in the child only. The parent waits for ready(), or for the child's end, and exits. No thread may run yet.
  void fork();
  /// Lets the parent go, with status 0. Unless `keep_output`, further output goes nowhere. Nothing if not forked.
  void ready(bool keep_output);

 private:
  int parent_ = -1;
};

}  // namespace higgs::wg
