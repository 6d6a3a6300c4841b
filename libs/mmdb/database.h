// Reads MaxMind DB files (format 2.0, as GeoLite2 and others come): an address leads to a record of nested values.
// Nothing is copied or owned, and nothing throws: a record that breaks the format reads as one that is not there. The
// work for one question is bounded, and it does not recurse, whatever the file holds (docs/adr/0011). Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/ip.h"
#include "base/result.h"

namespace higgs::mmdb {

enum class MmdbError {
  kNoMetadata = 1,  ///< no MaxMind DB, or its end is missing
  kUnsupported,     ///< another major version, or sizes that the format does not know
  kTruncated,       ///< shorter than its metadata say
};

/// A value of a record. Reading it as what it is not gives nullopt.
class Value {
 public:
  Value(ByteView section, std::size_t offset) noexcept : section_(section), offset_(offset) {}

  /// Of a map.
  std::optional<Value> at(std::string_view key) const noexcept;
  /// Of an array.
  std::optional<Value> item(std::size_t index) const noexcept;
  std::optional<std::string_view> text() const noexcept;
  /// A double or a float.
  std::optional<double> number() const noexcept;
  std::optional<std::uint64_t> count() const noexcept;

 private:
  ByteView section_;
  std::size_t offset_;
};

class Database {
 public:
  /// `file` must outlive it.
  static Result<Database> open(ByteView file) noexcept;

  /// The record of the narrowest network with this address. nullopt too where the file has no addresses of the family.
  std::optional<Value> find(const IpAddress& address) const noexcept;
  /// "GeoLite2-City".
  std::string_view type() const noexcept { return type_; }
  std::int64_t build_epoch() const noexcept { return build_epoch_; }

 private:
  Database() noexcept = default;
  std::optional<std::uint32_t> record(std::uint32_t node, bool right) const noexcept;

  ByteView tree_, data_;
  std::uint32_t nodes_ = 0, record_bits_ = 0, first_v4_ = 0;
  bool v6_ = false;
  std::string_view type_;
  std::int64_t build_epoch_ = 0;
};

}  // namespace higgs::mmdb

HIGGS_ERROR_ENUM(higgs::mmdb, MmdbError)
