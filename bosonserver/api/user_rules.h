// What holds for accounts whoever makes or changes them: the API or the command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/secret.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

inline constexpr std::size_t kLongestUserName = 64;
inline constexpr std::size_t kShortestPassword = 8;
inline constexpr std::chrono::seconds kInviteLifetime{7 * 86400};  ///< where nobody says another

/// What is wrong with the name; nullopt: nothing. Letters, digits and . _ - @ of ASCII, so that no two look alike.
std::optional<std::string> fault_of_user_name(std::string_view name);

struct NewInvite {
  InviteRecord record;
  SecretString secret;  ///< to be shown once
};
NewInvite make_invite(RandomSource& random, api::Role role, std::uint32_t uses, std::int64_t lifetime_seconds,
                      std::string created_by, std::int64_t now);

/// Ends one, and returns what it was. kNotFound: the user has no such key.
Result<ApiKeyRecord> revoke_api_key(Store& store, UserId user, const std::string& id);
/// Ends all of them; how many.
Result<std::size_t> revoke_api_keys(Store& store, UserId user);

}  // namespace higgs::boson
