// What changed in the store, told to every server that uses it. On PostgreSQL the transaction that makes the change
// also notifies, so it is told if and only if it happened, with and without Redis; on SQLite it is told within the
// process.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/uuid.h"

namespace higgs::boson {

/// Of one event. PostgreSQL carries payloads of less than 8000 bytes.
inline constexpr std::size_t kMaxStoreEventIds = 200;
inline constexpr std::size_t kMaxStoreEventDetail = 64;

struct StoreEvent {
  enum class Kind {
    kSessionsEnded,  ///< ids: sessions; detail: the reason
    kNodesChanged,   ///< ids: nodes
    kNodesBanned,    ///< ids: nodes
    kKeysChanged,    ///< the keys that sign tokens
    kUsersChanged,   ///< ids: users whose account, logins or API keys are not what they were
    kNodesMoved,     ///< ids: nodes of which nothing but the status or the server is another
    kResync,         ///< events of the last `gap` may be lost: look again at what you hold
  };
  Kind kind = Kind::kResync;
  std::vector<Uuid> ids = {};
  std::string detail = {};  ///< a word: lower-case letters, digits and '-'
  std::chrono::seconds gap{0};

  friend bool operator==(const StoreEvent&, const StoreEvent&) = default;
};

/// As it travels: "KIND DETAIL ID…", '-' for no detail. A resync does not travel.
std::string encode_event(const StoreEvent& event);
/// nullopt for what is no such text.
std::optional<StoreEvent> decode_event(std::string_view text);

using StoreEventHandler = std::function<void(const StoreEvent&)>;

/// Ends with its owner: when the destructor has returned no handler runs any more.
class StoreSubscription {
 public:
  virtual ~StoreSubscription() = default;
};

}  // namespace higgs::boson
