// Writes small MaxMind DB files for tests: networks, and a record of values for each.
#pragma once

#include <array>
#include <bit>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ip.h"

namespace higgs::mmdb::testing {

// Values as bytes of the data section.
inline std::string control(unsigned type, std::size_t size) {
  std::string out;
  const auto put = [&out](std::size_t byte) { out += static_cast<char>(byte); };
  const std::size_t kept = size < 29 ? size : size < 285 ? 29 : size < 65821 ? 30 : 31;
  put((type <= 7 ? type << 5 : 0) | kept);
  if (type > 7) put(type - 7);
  if (kept == 29) put(size - 29);
  if (kept == 30) put((size - 285) >> 8), put((size - 285) & 0xff);
  if (kept == 31) put((size - 65821) >> 16), put((size - 65821) >> 8 & 0xff), put((size - 65821) & 0xff);
  return out;
}
inline std::string text(std::string_view value) { return control(2, value.size()) + std::string(value); }
inline std::string big_endian(std::uint64_t value, unsigned bytes) {
  std::string out;
  while (bytes-- > 0) out += static_cast<char>(value >> (8 * bytes) & 0xff);
  return out;
}
inline std::string number(double value) { return control(3, 8) + big_endian(std::bit_cast<std::uint64_t>(value), 8); }
inline std::string count16(std::uint16_t value) { return control(5, 2) + big_endian(value, 2); }
inline std::string count32(std::uint32_t value) { return control(6, 4) + big_endian(value, 4); }
inline std::string count64(std::uint64_t value) { return control(9, 8) + big_endian(value, 8); }
inline std::string array(const std::vector<std::string>& items) {
  auto out = control(11, items.size());
  for (const auto& item : items) out += item;
  return out;
}
inline std::string map(const std::vector<std::pair<std::string, std::string>>& items) {
  auto out = control(7, items.size());
  for (const auto& [key, value] : items) out += text(key) + value;
  return out;
}
/// A pointer of four bytes to an offset in the data section.
inline std::string pointer(std::uint32_t offset) { return std::string(1, '\x38') + big_endian(offset, 4); }

/// "GeoLite2-City" in short.
inline std::string city_record(const std::string& country, const std::string& region, const std::string& city,
                               double latitude, double longitude) {
  const auto named = [](const std::string& name) {
    return map({{"names", map({{"de", text("-")}, {"en", text(name)}})}});
  };
  return map({{"city", named(city)},
              {"country", map({{"geoname_id", count32(1)}, {"iso_code", text(country)}})},
              {"location", map({{"latitude", number(latitude)}, {"longitude", number(longitude)}})},
              {"subdivisions", array({named(region)})}});
}

class Writer {
 public:
  explicit Writer(unsigned record_bits = 24, unsigned family = 6) : record_bits_(record_bits), family_(family) {}

  void add(std::string_view prefix, std::string_view record) {
    const auto network = IpPrefix::parse(prefix).value();
    const auto offset = static_cast<std::uint32_t>(data_.size());
    data_ += record;
    std::vector<bool> path(network.address().is_v4() && family_ == 6 ? 96 : 0, false);
    for (unsigned bit = 0; bit < network.length(); ++bit)
      path.push_back((std::to_integer<unsigned>(network.address().bytes()[bit / 8]) >> (7 - bit % 8) & 1) != 0);
    std::size_t at = 0;
    for (std::size_t i = 0; i < path.size(); ++i) {
      auto& record_here = nodes_[at][path[i] ? 1 : 0];
      if (i + 1 == path.size()) {
        record_here = {Kind::kData, offset};
      } else {
        if (record_here.kind != Kind::kNode) {
          record_here = {Kind::kNode, static_cast<std::uint32_t>(nodes_.size())};
          at = nodes_.size();
          nodes_.emplace_back();
        } else {
          at = record_here.value;
        }
      }
    }
  }

  std::string file() const {
    const auto count = static_cast<std::uint32_t>(nodes_.size());
    std::string out;
    for (const auto& node : nodes_) {
      const auto left = encoded(node[0], count), right = encoded(node[1], count);
      if (record_bits_ == 28) {
        out += big_endian(left & 0xffffff, 3) + static_cast<char>(left >> 24 << 4 | right >> 24) +
               big_endian(right & 0xffffff, 3);
      } else {
        out += big_endian(left, record_bits_ / 8) + big_endian(right, record_bits_ / 8);
      }
    }
    out += std::string(16, '\0') + data_ + "\xab\xcd\xefMaxMind.com";
    return out + map({{"binary_format_major_version", count16(2)},
                      {"binary_format_minor_version", count16(0)},
                      {"build_epoch", count64(1'700'000'000)},
                      {"database_type", text("Test-City")},
                      {"description", map({})},
                      {"ip_version", count16(static_cast<std::uint16_t>(family_))},
                      {"languages", array({})},
                      {"node_count", count32(count)},
                      {"record_size", count16(static_cast<std::uint16_t>(record_bits_))}});
  }

 private:
  enum class Kind { kEmpty, kNode, kData };
  struct Record {
    Kind kind = Kind::kEmpty;
    std::uint32_t value = 0;
  };
  static std::uint32_t encoded(const Record& record, std::uint32_t count) {
    if (record.kind == Kind::kNode) return record.value;
    return record.kind == Kind::kEmpty ? count : count + 16 + record.value;
  }

  unsigned record_bits_, family_;
  std::vector<std::array<Record, 2>> nodes_ = std::vector<std::array<Record, 2>>(1);
  std::string data_;
};

}  // namespace higgs::mmdb::testing
