// How long a packet takes between two places that nobody has measured: their distance, and what the internet makes of
// it.
#pragma once

#include "api/common.h"

namespace higgs::boson {

/// Along the great circle.
double distance_km(const api::Coordinates& from, const api::Coordinates& to);
/// There and back, over the internet's usual paths.
double round_trip_over_ms(double distance_km);

}  // namespace higgs::boson
