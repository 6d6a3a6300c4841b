// What is true only while somebody keeps saying so: which server has a node's link, which servers there are. An entry
// ends by itself when it is not set again; nothing that must not be lost belongs here.
//
// A key is "directory/name", such as "node/ID" or "server/ID". Any thread; an implementation may block: call it where
// the store is called. Where it cannot answer it says so, and callers fall back to the store.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace higgs::boson {

enum class PresenceError {
  kUnavailable = 1,  ///< it is not known; not the same as "not there"
  kTooLarge,         ///< a key or a value
  kFull,             ///< the directory has as many entries as it may
  kTooMany,          ///< to be listed at once
};

struct PresenceLimits {
  std::size_t entries = 200'000;  ///< of a directory
  std::size_t listed = 1'000;
};
inline constexpr std::size_t kMaxPresenceKeyBytes = 256;
inline constexpr std::size_t kMaxPresenceValueBytes = 4'096;

/// Neither is too large.
bool presence_fits(const std::string& key, const std::string& value) noexcept;

class Presence {
 public:
  struct Entry {
    std::string name;  ///< without the directory
    std::string value;
  };

  virtual ~Presence() = default;
  /// True from now on for `ttl` (positive), in place of what was said before. kUnavailable, kTooLarge, kFull.
  virtual Result<void> set(const std::string& key, const std::string& value, std::chrono::milliseconds ttl) = 0;
  /// Of each name of "directory" that nothing is said of, or this value already: true from now on for `ttl`. What has
  /// another value keeps it. It costs one round trip, however many they are. An error says that not all of it was done:
  /// kUnavailable, kTooLarge, kFull.
  virtual Result<void> renew(const std::string& directory, const std::vector<std::string>& names,
                             const std::string& value, std::chrono::milliseconds ttl) = 0;
  virtual Result<std::optional<std::string>> get(const std::string& key) = 0;
  /// Only while it still has this value, in one step: who has been replaced takes nothing away. True: it is gone.
  virtual Result<bool> erase(const std::string& key, const std::string& only_if_value) = 0;
  /// Every entry of "directory", in no order. kUnavailable, kTooMany.
  virtual Result<std::vector<Entry>> all(const std::string& directory) = 0;
};

/// Asserts that there are both.
struct PresenceKey {
  explicit PresenceKey(std::string_view key);
  std::string directory, name;
};

}  // namespace higgs::boson

HIGGS_ERROR_ENUM(higgs::boson, PresenceError)
