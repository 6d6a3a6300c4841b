// `bosonserver run`.
#pragma once

#include "bosonserver/server/settings.h"

namespace higgs::boson {

/// Serves until SIGTERM or SIGINT. Throws std::runtime_error with a sentence for people.
int run_server(const ServerSettings& settings);

}  // namespace higgs::boson
