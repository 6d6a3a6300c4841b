// UUIDs of RFC 9562, written in lower case with hyphens.
#pragma once

#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "base/strong_id.h"

namespace higgs {

class Uuid {
 public:
  Uuid() = default;
  explicit Uuid(const ByteArray<16>& bytes) noexcept : bytes_(bytes) {}
  /// Version 4: random.
  static Uuid random(RandomSource& random) noexcept;
  /// Version 8 (RFC 9562, 5.8): the first 16 bytes of a digest, with version and variant set. For self-certifying ids.
  static Uuid from_digest(ByteView digest) noexcept;
  static std::optional<Uuid> parse(std::string_view text) noexcept;

  std::string to_string() const;
  const ByteArray<16>& bytes() const noexcept { return bytes_; }
  // The 0 that the compiler compares the result with, where it writes < so, is taken for a pointer's.
  friend auto operator<=>(const Uuid&, const Uuid&) = default;  // NOLINT(modernize-use-nullptr)

 private:
  ByteArray<16> bytes_{};
};

using NodeId = StrongId<Uuid, struct NodeIdTag>;
using ClientId = StrongId<Uuid, struct ClientIdTag>;
using SessionId = StrongId<Uuid, struct SessionIdTag>;
using UserId = StrongId<Uuid, struct UserIdTag>;
using ServerId = StrongId<Uuid, struct ServerIdTag>;

template <class Tag>
std::string to_string(const StrongId<Uuid, Tag>& id) {
  return id.value().to_string();
}
template <class Id>
std::optional<Id> parse_id(std::string_view text) noexcept {
  const auto uuid = Uuid::parse(text);
  return uuid ? std::optional<Id>(Id(*uuid)) : std::nullopt;
}

}  // namespace higgs

template <>
struct std::hash<higgs::Uuid> {
  std::size_t operator()(const higgs::Uuid& id) const noexcept {
    return higgs::load_le<std::uint64_t>(id.bytes().data()) ^ higgs::load_le<std::uint64_t>(id.bytes().data() + 8);
  }
};
