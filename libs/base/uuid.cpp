#include "base/uuid.h"

#include <algorithm>

#include "base/assert.h"

namespace higgs {
namespace {

void set_version(ByteArray<16>& bytes, unsigned version) noexcept {
  bytes[6] = (bytes[6] & std::byte{0x0f}) | static_cast<std::byte>(version << 4);
  bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
}

}  // namespace

Uuid Uuid::random(RandomSource& random) noexcept {
  auto bytes = random.array<16>();
  set_version(bytes, 4);
  return Uuid(bytes);
}

Uuid Uuid::from_digest(ByteView digest) noexcept {
  HIGGS_ASSERT(digest.size() >= 16);
  ByteArray<16> bytes;
  std::copy_n(digest.begin(), 16, bytes.begin());
  set_version(bytes, 8);
  return Uuid(bytes);
}

std::optional<Uuid> Uuid::parse(std::string_view text) noexcept {
  if (text.size() != 36) return std::nullopt;
  std::array<char, 32> digits{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen != (text[i] == '-')) return std::nullopt;
    if (!hyphen) digits[count++] = text[i];
  }
  ByteArray<16> bytes;
  if (!from_hex(std::string_view(digits.data(), digits.size()), bytes)) return std::nullopt;
  return Uuid(bytes);
}

std::string Uuid::to_string() const {
  std::string text = to_hex(bytes_);
  for (const std::size_t at : {8u, 13u, 18u, 23u}) text.insert(at, 1, '-');
  return text;
}

}  // namespace higgs
