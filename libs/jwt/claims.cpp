#include "jwt/claims.h"

#include <array>

namespace higgs::jwt {
namespace {

constexpr std::array<std::string_view, 4> kNames{"api", "node", "relay", "server"};

}  // namespace

std::string_view to_string(Audience audience) { return kNames[static_cast<std::size_t>(audience)]; }

std::optional<Audience> parse_audience(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Audience>(i);
  return std::nullopt;
}

}  // namespace higgs::jwt
