#include "bosonserver/api/user_rules.h"

#include <algorithm>

#include "bosonserver/api/tokens.h"

namespace higgs::boson {

std::optional<std::string> fault_of_user_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestUserName) return "has not 1 to 64 characters";
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-' || c == '@';
  };
  if (!std::all_of(name.begin(), name.end(), allowed)) return "may hold letters, digits and . _ - @ only";
  return std::nullopt;
}

NewInvite make_invite(RandomSource& random, api::Role role, std::uint32_t uses, std::int64_t lifetime_seconds,
                      std::string created_by, std::int64_t now) {
  auto secret = random_secret(random);
  InviteRecord record;
  record.id = Uuid::random(random).to_string();
  record.digest = digest_of_secret(secret);
  record.role = role;
  record.created_by = std::move(created_by);
  record.created_at = now;
  record.expires_at = now + lifetime_seconds;
  record.uses_left = uses;
  return {std::move(record), SecretString(std::move(secret))};
}

Result<ApiKeyRecord> revoke_api_key(Store& store, UserId user, const std::string& id) {
  const auto keys = store.api_keys(user);
  if (!keys) return keys.error();
  const auto found = std::find_if(keys->begin(), keys->end(), [&](const auto& key) { return key.id == id; });
  if (found == keys->end()) return StoreError::kNotFound;
  if (const auto removed = store.remove_api_key(user, id); !removed) return removed.error();
  return *found;
}

Result<std::size_t> revoke_api_keys(Store& store, UserId user) {
  const auto keys = store.api_keys(user);
  if (!keys) return keys.error();
  for (const auto& key : *keys) {
    const auto removed = store.remove_api_key(user, key.id);
    if (!removed && removed.error() != StoreError::kNotFound) return removed.error();
  }
  return keys->size();
}

}  // namespace higgs::boson
