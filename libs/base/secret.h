// Bytes and text that must not be seen: wiped when destroyed or moved from, without operator<< or a formatter,
// and compared in constant time. reveal() is the one way in, so that a reader can search for every use.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace higgs {

/// Overwrites memory in a way the compiler may not drop.
void secure_wipe(MutableBytes bytes) noexcept;
/// Time depends on the lengths only.
bool equal_constant_time(ByteView a, ByteView b) noexcept;

template <std::size_t N>
class SecretBytes {
 public:
  static constexpr std::size_t kSize = N;

  SecretBytes() noexcept = default;
  explicit SecretBytes(std::span<const std::byte, N> bytes) noexcept {
    std::copy(bytes.begin(), bytes.end(), bytes_.begin());
  }
  SecretBytes(const SecretBytes&) noexcept = default;
  SecretBytes& operator=(const SecretBytes&) noexcept = default;
  SecretBytes(SecretBytes&& other) noexcept : bytes_(other.bytes_) { other.wipe(); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.wipe();
    }
    return *this;
  }
  ~SecretBytes() { wipe(); }

  std::span<const std::byte, N> reveal() const noexcept { return bytes_; }
  std::span<std::byte, N> reveal_mutable() noexcept { return bytes_; }
  void wipe() noexcept { secure_wipe(bytes_); }
  bool is_zero() const noexcept { return equal_constant_time(bytes_, ByteArray<N>{}); }
  friend bool operator==(const SecretBytes& a, const SecretBytes& b) noexcept {
    return equal_constant_time(a.bytes_, b.bytes_);
  }

 private:
  ByteArray<N> bytes_{};
};

class SecretString {
 public:
  SecretString() = default;
  explicit SecretString(std::string text) noexcept : text_(std::move(text)) {}
  SecretString(const SecretString&) = default;
  SecretString& operator=(const SecretString&) = default;
  // Copied and wiped: a moved-from short string would keep its characters.
  SecretString(SecretString&& other) noexcept : text_(other.text_) {  // NOLINT(performance-move-constructor-init)
    other.wipe();
  }
  SecretString& operator=(SecretString&& other) noexcept {
    if (this != &other) {
      wipe();
      text_ = other.text_;
      other.wipe();
    }
    return *this;
  }
  ~SecretString() { wipe(); }

  std::string_view reveal() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }
  friend bool operator==(const SecretString& a, const SecretString& b) noexcept {
    return equal_constant_time(as_bytes(a.text_), as_bytes(b.text_));
  }

 private:
  void wipe() noexcept {
    secure_wipe(std::as_writable_bytes(std::span(text_.data(), text_.size())));
    text_.clear();
  }
  std::string text_;
};

}  // namespace higgs
