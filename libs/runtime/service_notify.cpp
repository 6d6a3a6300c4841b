#include "runtime/service_notify.h"

#include <algorithm>
#include <string>

#include <systemd/sd-daemon.h>

namespace higgs::runtime {
namespace {

/// A line break would start another assignment.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

}  // namespace

void notify_ready(std::string_view status) { ::sd_notify(0, ("READY=1\nSTATUS=" + one_line(status)).c_str()); }
void notify_status(std::string_view status) { ::sd_notify(0, ("STATUS=" + one_line(status)).c_str()); }
void notify_stopping() { ::sd_notify(0, "STOPPING=1"); }

}  // namespace higgs::runtime
