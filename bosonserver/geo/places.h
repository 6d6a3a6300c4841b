// Where nodes and clients are: what a node says of itself, else what a MaxMind DB file says of an address. Without a
// file only the former. Thread-safe.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "api/common.h"
#include "bosonserver/store/records.h"
#include "mmdb/database.h"

namespace higgs::boson {

struct Place {
  std::string country;  ///< ISO 3166-1 alpha-2; empty: unknown
  std::string region;   ///< of a node that says so itself: what it says
  std::string city;
  std::optional<api::Coordinates> coordinates;
  friend bool operator==(const Place&, const Place&) = default;
};

class Places {
 public:
  /// A country's file has some 10 MiB, a city's 70.
  static constexpr std::size_t kMostFileBytes = 512 * 1024 * 1024;
  /// Addresses whose places are kept, so that a list of all nodes does not look each up again; then all are forgotten.
  static constexpr std::size_t kMostRemembered = 65'536;

  /// Knows no addresses.
  Places() = default;
  /// Throws std::runtime_error, for people, when the file cannot be used. It is held in memory: whatever becomes of it
  /// on disk, it is read again at the next start only.
  explicit Places(const std::filesystem::path& file);

  Place of_node(const NodeRecord& node) const;
  /// To a degree, some hundred kilometres, which is all that a choice between nodes needs.
  Place of_client(const IpAddress& address) const;
  /// For lists: what the node says, else country and region of its address; never coordinates that it did not give.
  std::optional<api::Location> shown_location(const NodeRecord& node) const;

 private:
  Place find(const IpAddress& address) const;
  Place read(const IpAddress& address) const;

  std::string file_;
  std::optional<mmdb::Database> database_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<IpAddress, Place> remembered_;  // guarded by mutex_
};

}  // namespace higgs::boson
