#include "stun/unknown_attributes.h"

#include <algorithm>

namespace higgs::stun {

UnknownAttributes::UnknownAttributes(const Message& message, std::span<const AttributeType> understood) noexcept {
  for (const auto& attribute : message.all()) {
    const bool fine = !comprehension_required(attribute.type) ||
                      std::ranges::find(understood, static_cast<AttributeType>(attribute.type)) != understood.end();
    if (fine || size_ == bytes_.size()) continue;
    store_be(bytes_.data() + size_, attribute.type);
    size_ += 2;
  }
}

}  // namespace higgs::stun
