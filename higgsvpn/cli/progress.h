// Shows a running connection: one live line on a terminal, a line for each change elsewhere, JSON lines for scripts,
// and to the parent of a detached one the word that it stands.
#pragma once

#include <string>

#include "higgsvpn/connection_report.h"
#include "higgsvpn/detach.h"
#include "higgsvpn/failure.h"

namespace higgs::vpn {

class Progress final : public ConnectionObserver {
 public:
  Progress(bool json, DetachedParent parent);
  ~Progress() override;

  void on_state(const ConnectionReport& report) override;
  void on_sample(const ConnectionReport& report) override;
  void on_notice(const std::string& sentence) override;
  /// The last word; returns the exit status.
  int finish(const Outcome<void>& result);

 private:
  void line(const std::string& text);
  void live_line(const std::string& text);
  void event(const std::string& name, const std::string& fields_json);

  const bool json_, terminal_;
  DetachedParent parent_;
  bool live_ = false;  ///< the terminal's line is ours to overwrite
};

}  // namespace higgs::vpn
