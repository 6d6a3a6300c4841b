// Views of bytes, and big- and little-endian loads, stores, readers and writers over them.
//
// Nothing here owns memory or throws on bad input: a reader past its end yields std::nullopt and stays where it was.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace higgs {

using ByteView = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;
using Bytes = std::vector<std::byte>;
template <std::size_t N>
using ByteArray = std::array<std::byte, N>;

inline ByteView as_bytes(std::string_view text) noexcept { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view as_text(ByteView bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(ByteView view) { return {view.begin(), view.end()}; }

template <std::unsigned_integral T>
constexpr T load_be(const std::byte* p) noexcept {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((value << 8) | std::to_integer<T>(p[i]));
  return value;
}

template <std::unsigned_integral T>
constexpr T load_le(const std::byte* p) noexcept {
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) value = static_cast<T>((value << 8) | std::to_integer<T>(p[i]));
  return value;
}

template <std::unsigned_integral T>
constexpr void store_be(std::byte* p, T value) noexcept {
  for (std::size_t i = sizeof(T); i-- > 0;) {
    p[i] = static_cast<std::byte>(value & 0xff);
    value = static_cast<T>(value >> 8);
  }
}

template <std::unsigned_integral T>
constexpr void store_le(std::byte* p, T value) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    p[i] = static_cast<std::byte>(value & 0xff);
    value = static_cast<T>(value >> 8);
  }
}

/// Reads fields from the front of a view.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) noexcept : rest_(bytes) {}

  ByteView rest() const noexcept { return rest_; }
  std::size_t remaining() const noexcept { return rest_.size(); }
  bool empty() const noexcept { return rest_.empty(); }

  template <std::unsigned_integral T>
  std::optional<T> be() noexcept {
    if (rest_.size() < sizeof(T)) return std::nullopt;
    const T value = load_be<T>(rest_.data());
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }
  template <std::unsigned_integral T>
  std::optional<T> le() noexcept {
    if (rest_.size() < sizeof(T)) return std::nullopt;
    const T value = load_le<T>(rest_.data());
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }
  std::optional<ByteView> take(std::size_t count) noexcept {
    if (rest_.size() < count) return std::nullopt;
    const ByteView taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

 private:
  ByteView rest_;
};

/// Appends fields to a growing buffer.
class ByteWriter {
 public:
  template <std::unsigned_integral T>
  void be(T value) {
    store_be(grow(sizeof(T)), value);
  }
  template <std::unsigned_integral T>
  void le(T value) {
    store_le(grow(sizeof(T)), value);
  }
  void bytes(ByteView view) {
    if (!view.empty()) std::memcpy(grow(view.size()), view.data(), view.size());
  }
  void zeros(std::size_t count) { buffer_.resize(buffer_.size() + count); }

  std::size_t size() const noexcept { return buffer_.size(); }
  ByteView view() const noexcept { return buffer_; }
  MutableBytes mutable_view() noexcept { return buffer_; }
  Bytes take() && noexcept { return std::move(buffer_); }

 private:
  std::byte* grow(std::size_t count) {
    buffer_.resize(buffer_.size() + count);
    return buffer_.data() + buffer_.size() - count;
  }
  Bytes buffer_;
};

/// Lower-case hexadecimal, two characters a byte.
std::string to_hex(ByteView bytes);
/// The inverse; either case. nullopt on an odd length or a foreign character.
std::optional<Bytes> from_hex(std::string_view text);
/// As from_hex, but only if exactly out.size() bytes are spelled.
bool from_hex(std::string_view text, MutableBytes out) noexcept;

}  // namespace higgs
