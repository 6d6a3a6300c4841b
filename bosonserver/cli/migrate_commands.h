// `bosonserver migrate …`: the tables of the store. Both throw std::runtime_error with a sentence for people.
#pragma once

#include "bosonserver/server/settings.h"

namespace higgs::boson {

/// Prints which changes are applied and which are missing; changes nothing.
int migration_status(const ServerSettings& settings, bool json);
int migrate_up(const ServerSettings& settings, bool json);

}  // namespace higgs::boson
