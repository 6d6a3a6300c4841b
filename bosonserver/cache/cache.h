// What may be lost: answers that are cheap to make again, and counters of rate limits. One implementation in process,
// one over Redis for clusters; cache_contract_test.cpp is run against each.
//
// Any thread. An implementation may block: call it where the store is called.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace higgs::boson {

class Cache {
 public:
  struct Count {
    std::uint64_t count = 0;                ///< in this window, with this one
    std::chrono::milliseconds resets_in{};  ///< until a new window begins
  };

  virtual ~Cache() = default;
  virtual std::optional<std::string> get(const std::string& key) = 0;
  /// `tags`: names under which the entry can be dropped together with others.
  virtual void set(const std::string& key, std::string value, std::chrono::milliseconds ttl,
                   const std::vector<std::string>& tags) = 0;
  virtual void erase(const std::string& key) = 0;
  virtual void drop_tagged(const std::string& tag) = 0;
  /// Counts one event under `key` in a window that begins with its first.
  virtual Count count(const std::string& key, std::chrono::milliseconds window) = 0;
};

}  // namespace higgs::boson
