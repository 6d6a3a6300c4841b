// A file (MaxMind DB File Format Specification, version 2.0):
//
//   +-------------+----------+--------------+--------------------------+------------------+
//   | search tree | 16 zeros | data section | ab cd ef "MaxMind.com"   | metadata (a map) |
//   +-------------+----------+--------------+--------------------------+------------------+
//
// Each node of the tree has two records of 24, 28 or 32 bits: below node_count the number of the next node, equal to
// it "nothing here", above it an offset into the data section.
//
// A value begins with a control byte:
//    0  1  2  3  4  5  6  7
//   +--+--+--+--+--+--+--+--+
//   |  type  |     size     |    type 0: the real type is 7 + the next byte; size 29, 30, 31: 1, 2 or 3 bytes follow
//   +--+--+--+--+--+--+--+--+
#include "mmdb/database.h"

#include <array>
#include <bit>

namespace higgs::mmdb {
namespace {

// Constants of the format.
constexpr std::string_view kMarker = "\xab\xcd\xefMaxMind.com";
/// "the maximum allowable size for the metadata section, including the marker, is 128KiB".
constexpr std::size_t kMetadataBytes = 128 * 1024;
constexpr std::size_t kSeparatorBytes = 16;
constexpr std::uint64_t kMajorVersion = 2;
enum class Type : unsigned {
  kPointer = 1,
  kText = 2,
  kDouble = 3,
  kBytes = 4,
  kUint16 = 5,
  kUint32 = 6,
  kMap = 7,
  kInt32 = 8,
  kUint64 = 9,
  kUint128 = 10,
  kArray = 11,
  kBoolean = 14,
  kFloat = 15,
};

/// Ours: values that one question looks at. A city's record has about a hundred.
constexpr std::size_t kMostSteps = 16 * 1024;

struct Field {
  Type type = Type::kBytes;
  std::size_t size = 0;     ///< bytes, or items; of a pointer: where it leads
  std::size_t payload = 0;  ///< where its bytes, or items, begin
};

/// A big-endian number of `bytes` bytes.
std::optional<std::uint64_t> number_at(ByteView section, std::size_t offset, std::size_t bytes) {
  if (bytes > 8 || offset > section.size() || section.size() - offset < bytes) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | std::to_integer<std::uint64_t>(section[offset + i]);
  return value;
}

/// "the next three bits of the control byte … the size of the pointer", and what each size adds.
std::optional<Field> pointer_at(ByteView section, std::size_t offset, unsigned control) {
  constexpr std::array<std::uint64_t, 4> kAdded{0, 2048, 526336, 0};
  const unsigned kind = control >> 3 & 3;
  const std::size_t bytes = kind + 1;
  const auto low = number_at(section, offset + 1, bytes);
  if (!low) return std::nullopt;
  const std::uint64_t high = kind == 3 ? 0 : std::uint64_t{control & 7} << (8 * bytes);
  return Field{Type::kPointer, static_cast<std::size_t>((high | *low) + kAdded[kind]), offset + 1 + bytes};
}

std::optional<Field> field_at(ByteView section, std::size_t offset) {
  constexpr std::array<std::size_t, 3> kAdded{29, 285, 65821};
  const auto control = number_at(section, offset, 1);
  if (!control) return std::nullopt;
  auto type = static_cast<unsigned>(*control >> 5);
  if (static_cast<Type>(type) == Type::kPointer) return pointer_at(section, offset, static_cast<unsigned>(*control));
  ++offset;
  if (type == 0) {
    const auto extended = number_at(section, offset++, 1);
    if (!extended) return std::nullopt;
    type = 7 + static_cast<unsigned>(*extended);
  }
  auto size = static_cast<std::size_t>(*control & 31);
  if (size >= 29) {
    const std::size_t bytes = size - 28;
    const auto more = number_at(section, offset, bytes);
    if (!more) return std::nullopt;
    size = static_cast<std::size_t>(*more) + kAdded[bytes - 1];
    offset += bytes;
  }
  return Field{static_cast<Type>(type), size, offset};
}

/// What is here, or where the pointer here leads: "a pointer must not point to another pointer".
std::optional<Field> resolved_at(ByteView section, std::size_t offset) {
  const auto field = field_at(section, offset);
  if (!field || field->type != Type::kPointer) return field;
  const auto target = field_at(section, field->size);
  return target && target->type != Type::kPointer ? target : std::nullopt;
}

/// How many bytes a value has behind its control bytes, its items not counted; nullopt for types without a meaning.
std::optional<std::size_t> own_bytes(const Field& field) {
  switch (field.type) {
    case Type::kPointer:
    case Type::kMap:
    case Type::kArray:
    case Type::kBoolean:
      return 0;
    case Type::kText:
    case Type::kDouble:
    case Type::kBytes:
    case Type::kUint16:
    case Type::kUint32:
    case Type::kInt32:
    case Type::kUint64:
    case Type::kUint128:
    case Type::kFloat:
      return field.size;
  }
  return std::nullopt;
}

/// The offset behind a value with all that it holds. Takes from `steps`.
std::optional<std::size_t> skip(ByteView section, std::size_t offset, std::size_t& steps) {
  for (std::uint64_t pending = 1; pending > 0; --pending) {
    if (steps == 0) return std::nullopt;
    --steps;
    const auto field = field_at(section, offset);
    const auto bytes = field ? own_bytes(*field) : std::nullopt;
    if (!bytes || *bytes > section.size() - field->payload) return std::nullopt;
    offset = field->payload + *bytes;
    if (field->type == Type::kMap) pending += 2 * std::uint64_t{field->size};
    if (field->type == Type::kArray) pending += field->size;
  }
  return offset;
}

std::optional<std::string_view> text_of(ByteView section, const std::optional<Field>& field) {
  if (!field || field->type != Type::kText || field->size > section.size() - field->payload) return std::nullopt;
  return as_text(section.subspan(field->payload, field->size));
}

}  // namespace

std::optional<Value> Value::at(std::string_view key) const noexcept {
  const auto map = resolved_at(section_, offset_);
  if (!map || map->type != Type::kMap) return std::nullopt;
  std::size_t steps = kMostSteps;
  std::size_t offset = map->payload;
  for (std::size_t i = 0; i < map->size; ++i) {
    const auto name = text_of(section_, resolved_at(section_, offset));
    const auto value = skip(section_, offset, steps);
    if (!name || !value) return std::nullopt;
    if (*name == key) return Value(section_, *value);
    const auto next = skip(section_, *value, steps);
    if (!next) return std::nullopt;
    offset = *next;
  }
  return std::nullopt;
}

std::optional<Value> Value::item(std::size_t index) const noexcept {
  const auto array = resolved_at(section_, offset_);
  if (!array || array->type != Type::kArray || index >= array->size) return std::nullopt;
  std::size_t steps = kMostSteps;
  std::size_t offset = array->payload;
  for (; index > 0; --index) {
    const auto next = skip(section_, offset, steps);
    if (!next) return std::nullopt;
    offset = *next;
  }
  return Value(section_, offset);
}

std::optional<std::string_view> Value::text() const noexcept {
  return text_of(section_, resolved_at(section_, offset_));
}

std::optional<double> Value::number() const noexcept {
  const auto field = resolved_at(section_, offset_);
  if (!field) return std::nullopt;
  const auto bits = number_at(section_, field->payload, field->size);
  if (bits && field->type == Type::kDouble && field->size == 8) return std::bit_cast<double>(*bits);
  if (bits && field->type == Type::kFloat && field->size == 4)
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(*bits)));
  return std::nullopt;
}

std::optional<std::uint64_t> Value::count() const noexcept {
  const auto field = resolved_at(section_, offset_);
  const bool whole =
      field && (field->type == Type::kUint16 || field->type == Type::kUint32 || field->type == Type::kUint64);
  return whole ? number_at(section_, field->payload, field->size) : std::nullopt;
}

Result<Database> Database::open(ByteView file) noexcept {
  const auto text = as_text(file);
  const auto marker = text.rfind(kMarker);
  if (marker == text.npos || file.size() - marker > kMetadataBytes) return MmdbError::kNoMetadata;
  const Value metadata(file.subspan(marker + kMarker.size()), 0);
  const auto count = [&metadata](std::string_view key) -> std::optional<std::uint64_t> {
    const auto value = metadata.at(key);
    return value ? value->count() : std::nullopt;
  };
  const auto nodes = count("node_count"), bits = count("record_size"), family = count("ip_version");
  const auto version = count("binary_format_major_version");
  if (!nodes || !bits || !family || !version) return MmdbError::kNoMetadata;
  const bool known = *version == kMajorVersion && (*bits == 24 || *bits == 28 || *bits == 32) &&
                     (*family == 4 || *family == 6) && *nodes > 0 && *nodes <= 0xffffffff;
  if (!known) return MmdbError::kUnsupported;

  const std::uint64_t tree_bytes = *nodes * (*bits * 2 / 8);
  if (tree_bytes + kSeparatorBytes > marker) return MmdbError::kTruncated;
  Database database;
  database.tree_ = file.first(static_cast<std::size_t>(tree_bytes));
  database.data_ = file.first(marker).subspan(static_cast<std::size_t>(tree_bytes) + kSeparatorBytes);
  database.nodes_ = static_cast<std::uint32_t>(*nodes);
  database.record_bits_ = static_cast<std::uint32_t>(*bits);
  database.v6_ = *family == 6;
  if (const auto type = metadata.at("database_type")) database.type_ = type->text().value_or("");
  database.build_epoch_ = static_cast<std::int64_t>(count("build_epoch").value_or(0));
  // IPv4 lies under ::/96 of a tree for both.
  for (int bit = 0; database.v6_ && bit < 96 && database.first_v4_ < database.nodes_; ++bit) {
    database.first_v4_ = database.record(database.first_v4_, false).value_or(database.nodes_);
  }
  return database;
}

std::optional<std::uint32_t> Database::record(std::uint32_t node, bool right) const noexcept {
  const std::size_t node_bytes = record_bits_ / 4;
  const auto at = static_cast<std::size_t>(node) * node_bytes;
  if (record_bits_ != 28) {
    const std::size_t bytes = record_bits_ / 8;
    const auto value = number_at(tree_, at + (right ? bytes : 0), bytes);
    return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
  }
  // The middle byte holds the highest four bits of both, the left one's first.
  const auto low = number_at(tree_, at + (right ? 4 : 0), 3);
  const auto middle = number_at(tree_, at + 3, 1);
  if (!low || !middle) return std::nullopt;
  const auto high = right ? *middle & 0x0f : *middle >> 4;
  return static_cast<std::uint32_t>(high << 24 | *low);
}

std::optional<Value> Database::find(const IpAddress& given) const noexcept {
  const IpAddress address = given.unmapped();
  if (address.is_v6() && !v6_) return std::nullopt;
  std::uint32_t at = address.is_v4() ? first_v4_ : 0;
  for (unsigned bit = 0; bit < address.bit_length() && at < nodes_; ++bit) {
    const bool right = (std::to_integer<unsigned>(address.bytes()[bit / 8]) >> (7 - bit % 8) & 1) != 0;
    const auto next = record(at, right);
    if (!next) return std::nullopt;
    at = *next;
  }
  // Still inside the tree, "nothing here", or an offset that would lie in the separator.
  if (at <= nodes_ || at - nodes_ < kSeparatorBytes) return std::nullopt;
  const std::size_t offset = at - nodes_ - kSeparatorBytes;
  return offset < data_.size() ? std::optional(Value(data_, offset)) : std::nullopt;
}

}  // namespace higgs::mmdb

HIGGS_ERROR_CATEGORY(higgs::mmdb, MmdbError, "mmdb") {
  switch (error) {
    case MmdbError::kNoMetadata:
      return "not a MaxMind DB file, or its end is missing";
    case MmdbError::kUnsupported:
      return "a MaxMind DB file of a version or kind that is not known here";
    case MmdbError::kTruncated:
      return "the file is shorter than it says";
  }
  return "unknown error";
}
