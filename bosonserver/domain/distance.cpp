#include "bosonserver/domain/distance.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace higgs::boson {
namespace {

// Constants of nature and of others' measurements.

/// Mean radius R1 of the Earth (IUGG, Geodetic Reference System 1980).
constexpr double kEarthRadiusKm = 6371.0088;
/// By definition of the metre.
constexpr double kLightKmPerMs = 299.792458;
/// Group index of single-mode fibre at 1550 nm (data sheet of Corning SMF-28).
constexpr double kFibreIndex = 1.468;
/// A ping takes about three times as long as light in a vacuum along the great circle: infrastructure alone costs that
/// factor (Bozkurt et al., "Why Is the Internet so Slow?!", PAM 2017). Fibre is in it; the rest is the way's detours.
constexpr double kPathStretch = 3.0 / kFibreIndex;

// Ours.

/// The first and the last mile, also where the distance is nothing.
constexpr double kAccessMs = 10;

double radians(double degrees) { return degrees * std::numbers::pi / 180; }

}  // namespace

double distance_km(const api::Coordinates& from, const api::Coordinates& to) {
  // The haversine formula: exact enough for small distances too.
  const double half_latitude = std::sin(radians(to.latitude - from.latitude) / 2);
  const double half_longitude = std::sin(radians(to.longitude - from.longitude) / 2);
  const double haversine = half_latitude * half_latitude + std::cos(radians(from.latitude)) *
                                                               std::cos(radians(to.latitude)) * half_longitude *
                                                               half_longitude;
  return 2 * kEarthRadiusKm * std::asin(std::sqrt(std::clamp(haversine, 0.0, 1.0)));
}

double round_trip_over_ms(double distance) {
  return kAccessMs + 2 * distance * kPathStretch * kFibreIndex / kLightKmPerMs;
}

}  // namespace higgs::boson
