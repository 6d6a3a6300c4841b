// Presence in process: of a server that is alone.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/time.h"
#include "bosonserver/cache/presence.h"

namespace higgs::boson {

class MemoryPresence final : public Presence {
 public:
  explicit MemoryPresence(std::function<Instant()> clock, PresenceLimits limits = {});

  Result<void> set(const std::string& key, const std::string& value, std::chrono::milliseconds ttl) override;
  Result<void> renew(const std::string& directory, const std::vector<std::string>& names, const std::string& value,
                     std::chrono::milliseconds ttl) override;
  Result<std::optional<std::string>> get(const std::string& key) override;
  Result<bool> erase(const std::string& key, const std::string& only_if_value) override;
  Result<std::vector<Entry>> all(const std::string& directory) override;

 private:
  struct Said {
    std::string value;
    Instant ends;
  };
  struct Directory {
    std::map<std::string, Said> entries;
    std::set<std::pair<Instant, std::string>> ends;
  };
  /// Without what has ended.
  Directory& directory_locked(const std::string& name);
  Result<void> set_locked(Directory& directory, const std::string& name, Said said) const;
  static void erase_locked(Directory& directory, std::map<std::string, Said>::iterator entry);

  const std::function<Instant()> clock_;
  const PresenceLimits limits_;
  std::mutex mutex_;
  std::map<std::string, Directory> directories_;  ///< as many as the program has names for
};

}  // namespace higgs::boson
