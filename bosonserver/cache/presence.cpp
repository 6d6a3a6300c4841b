#include "bosonserver/cache/presence.h"

#include "base/assert.h"

HIGGS_ERROR_CATEGORY(higgs::boson, PresenceError, "boson.presence") {
  switch (error) {
    case PresenceError::kUnavailable:
      return "presence is not known now";
    case PresenceError::kTooLarge:
      return "the key or the value is too large";
    case PresenceError::kFull:
      return "too many are present";
    case PresenceError::kTooMany:
      return "more are present than can be listed";
  }
  return "unknown error of presence";
}

namespace higgs::boson {

bool presence_fits(const std::string& key, const std::string& value) noexcept {
  return key.size() <= kMaxPresenceKeyBytes && value.size() <= kMaxPresenceValueBytes;
}

PresenceKey::PresenceKey(std::string_view key) {
  const auto slash = key.find('/');
  HIGGS_ASSERT(slash != key.npos && slash > 0 && slash + 1 < key.size());
  directory = key.substr(0, slash);
  name = key.substr(slash + 1);
}

}  // namespace higgs::boson
