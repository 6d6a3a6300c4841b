// Attributes that must be understood and are not: what a request is refused for with 420 (RFC 8489, section 6.3.1).
#pragma once

#include <span>

#include "stun/message.h"

namespace higgs::stun {

/// Types named in one UNKNOWN-ATTRIBUTES; a request with more is told of the first.
inline constexpr std::size_t kMaxNamedAttributes = 8;

class UnknownAttributes {
 public:
  /// Comprehension-required attributes of `message` that are not among `understood`.
  UnknownAttributes(const Message& message, std::span<const AttributeType> understood) noexcept;

  bool empty() const noexcept { return size_ == 0; }
  /// Value of UNKNOWN-ATTRIBUTES.
  ByteView value() const noexcept { return ByteView(bytes_).first(size_); }

 private:
  ByteArray<2 * kMaxNamedAttributes> bytes_{};
  std::size_t size_ = 0;
};

}  // namespace higgs::stun
