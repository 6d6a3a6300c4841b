// What systemd wants to hear (sd_notify(3)); does nothing when not started by it.
#pragma once

#include <string_view>

namespace higgs::runtime {

void notify_ready(std::string_view status);
void notify_status(std::string_view status);
void notify_stopping();

}  // namespace higgs::runtime
