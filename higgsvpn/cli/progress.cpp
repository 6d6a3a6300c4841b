#include "higgsvpn/cli/progress.h"

#include <cstdio>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "higgsvpn/cli/output.h"
#include "higgsvpn/control_channel.h"
#include "runtime/clock.h"
#include "runtime/service_notify.h"

namespace higgs::vpn {
namespace {

using State = ConnectionMachine::State;

}  // namespace

Progress::Progress(bool json, DetachedParent parent)
    : json_(json), terminal_(!json && ::isatty(STDOUT_FILENO) != 0), parent_(std::move(parent)) {}

Progress::~Progress() {
  if (live_) std::fputc('\n', stdout);
}

void Progress::line(const std::string& text) {
  if (live_) std::fputs("\r\033[K", stdout);
  live_ = false;
  std::fprintf(stdout, "%s\n", text.c_str());
  std::fflush(stdout);
}

void Progress::live_line(const std::string& text) {
  std::fprintf(stdout, "\r%s\033[K", text.c_str());
  std::fflush(stdout);
  live_ = true;
}

void Progress::event(const std::string& name, const std::string& fields_json) {
  line("{\"event\":\"" + name + "\"," + fields_json.substr(1));
}

void Progress::on_state(const ConnectionReport& report) {
  const std::string text = status_line(report, runtime::now().wall);
  if (report.state == State::kConnected) {
    runtime::notify_ready(text);
    parent_.tell(0, json_ ? encode_report(report) + "\n" : text + "\n");
  } else {
    runtime::notify_status(text);
  }
  if (json_) {
    event("state", encode_report(report));
  } else if (terminal_) {
    live_line(text);
  } else {
    line(text);
  }
}

void Progress::on_sample(const ConnectionReport& report) {
  if (terminal_) live_line(status_line(report, runtime::now().wall));
}

void Progress::on_notice(const std::string& sentence) {
  if (json_) {
    event("notice",
          nlohmann::json{{"message", sentence}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    line(printable(sentence));
  }
}

int Progress::finish(const Outcome<void>& result) {
  if (live_) std::fputs("\r\033[K", stdout);
  live_ = false;
  if (result) {
    if (json_) {
      event("ended", "{\"ok\":true}");
    } else {
      line("disconnected");
    }
    parent_.tell(1, "disconnected before the tunnel was up\n");
    return 0;
  }
  const Failure& failure = result.error();
  parent_.tell(static_cast<int>(failure.code),
               json_ ? "{\"error\":" + failure_json(failure) + "}\n" : "higgsvpn: " + failure.to_string() + "\n");
  if (json_) event("error", failure_json(failure));
  return json_ ? static_cast<int>(failure.code) : fail(failure, false);
}

}  // namespace higgs::vpn
