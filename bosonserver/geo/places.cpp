#include "bosonserver/geo/places.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <stdexcept>

#include "runtime/files.h"
#include "runtime/log.h"

namespace higgs::boson {
namespace {

/// What a location may hold (proto/openapi.yaml).
constexpr std::size_t kMostNameBytes = 64;

std::optional<mmdb::Value> follow(std::optional<mmdb::Value> value, std::initializer_list<std::string_view> keys) {
  for (const auto key : keys) {
    if (!value) return std::nullopt;
    value = value->at(key);
  }
  return value;
}

std::string text_of(const std::optional<mmdb::Value>& value) {
  return std::string(value ? value->text().value_or("") : "");
}

/// The file's English name, or none where that is no name: what we pass on has to be text.
std::string name_of(const std::optional<mmdb::Value>& place) {
  auto name = text_of(follow(place, {"names", "en"}));
  const bool plain = name.size() <= kMostNameBytes &&
                     std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  return plain ? name : std::string();
}

std::string country_of(const mmdb::Value& record) {
  auto code = text_of(follow(record, {"country", "iso_code"}));
  const bool sound =
      code.size() == 2 && std::all_of(code.begin(), code.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  return sound ? code : std::string();
}

std::optional<api::Coordinates> coordinates_of(const mmdb::Value& record) {
  const auto degrees = [&record](std::string_view key, double most) -> std::optional<double> {
    const auto value = follow(record, {"location", key});
    const auto number = value ? value->number() : std::nullopt;
    return number && std::abs(*number) <= most ? number : std::nullopt;
  };
  const auto latitude = degrees("latitude", 90), longitude = degrees("longitude", 180);
  if (!latitude || !longitude) return std::nullopt;
  return api::Coordinates{*latitude, *longitude};
}

}  // namespace

Places::Places(const std::filesystem::path& file) {
  const auto refuse = [&file](const ErrorCode& error) {
    throw std::runtime_error("cannot use the GeoIP database " + file.string() + ": " + error.message());
  };
  auto read = runtime::read_file(file, kMostFileBytes);
  if (!read) refuse(read.error());
  file_ = std::move(*read);
  auto opened = mmdb::Database::open(as_bytes(file_));
  if (!opened) refuse(opened.error());
  database_ = *opened;
  runtime::log::info("places of addresses are known",
                     {{"database", database_->type()}, {"file", file.string()}, {"built", database_->build_epoch()}});
}

Place Places::read(const IpAddress& address) const {
  const auto record = database_->find(address);
  if (!record) return {};
  Place place;
  place.country = country_of(*record);
  const auto regions = record->at("subdivisions");
  place.region = name_of(regions ? regions->item(0) : std::nullopt);
  place.city = name_of(record->at("city"));
  place.coordinates = coordinates_of(*record);
  return place;
}

Place Places::find(const IpAddress& address) const {
  if (!database_) return {};
  const std::lock_guard lock(mutex_);
  if (const auto known = remembered_.find(address); known != remembered_.end()) return known->second;
  auto place = read(address);
  if (remembered_.size() >= kMostRemembered) remembered_.clear();
  return remembered_.emplace(address, std::move(place)).first->second;
}

Place Places::of_node(const NodeRecord& node) const {
  auto derived = find(node.address.unmapped());
  if (!node.location) return derived;
  Place said{node.location->country, node.location->region, "", node.location->coordinates};
  // Who names a country and no more is where its address is, unless that is elsewhere.
  if (!said.coordinates && derived.country == said.country) said.coordinates = derived.coordinates;
  return said;
}

Place Places::of_client(const IpAddress& address) const {
  auto place = find(address.unmapped());
  if (place.coordinates)
    place.coordinates = {std::round(place.coordinates->latitude), std::round(place.coordinates->longitude)};
  return place;
}

std::optional<api::Location> Places::shown_location(const NodeRecord& node) const {
  if (node.location) return node.location;
  auto derived = find(node.address.unmapped());
  if (derived.country.empty()) return std::nullopt;
  return api::Location{std::move(derived.country), std::move(derived.region), std::nullopt};
}

}  // namespace higgs::boson
