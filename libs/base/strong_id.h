// A distinct type for each kind of identifier, so that a session id cannot be passed where a node id is meant.
#pragma once

#include <compare>
#include <functional>
#include <utility>

namespace higgs {

template <class Value, class Tag>
class StrongId {
 public:
  constexpr StrongId() = default;
  constexpr explicit StrongId(Value value) : value_(std::move(value)) {}
  constexpr const Value& value() const noexcept { return value_; }
  // As in Uuid: no pointer is compared.
  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;  // NOLINT(modernize-use-nullptr)
  friend constexpr bool operator==(const StrongId&, const StrongId&) = default;

 private:
  Value value_{};
};

}  // namespace higgs

template <class Value, class Tag>
struct std::hash<higgs::StrongId<Value, Tag>> {
  std::size_t operator()(const higgs::StrongId<Value, Tag>& id) const noexcept {
    return std::hash<Value>{}(id.value());
  }
};
