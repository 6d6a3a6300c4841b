// What servers of a cluster tell one another at once: "this node's link is up at server X". A hint, never the truth: an
// event can be lost, and then a resync says that some may have been. Whoever acts on events reads the truth again then.
//
// Any thread. publish() never waits: neither for subscribers nor for the network. Handlers run on the bus' own thread,
// one at a time, and may block: they hold up later events, not publishers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace higgs::boson {

enum class EventError {
  kTopic = 1,  ///< empty, too long, or with other than lower-case letters, digits, '-', '_', '.', '/'
  kPayload,    ///< too large
};

inline constexpr std::size_t kMaxEventTopicBytes = 64;
inline constexpr std::size_t kMaxEventPayloadBytes = 16 * 1024;
/// That wait for handlers; later ones are dropped, and a resync follows.
inline constexpr std::size_t kMaxQueuedEvents = 4'096;

struct EventHandlers {
  std::function<void(const std::string& topic, const std::string& payload)> event;
  std::function<void()> resync;
};

struct EventStats {
  bool connected = true;      ///< other servers are heard
  std::uint64_t dropped = 0;  ///< handlers were too slow
  std::uint64_t lost = 0;     ///< ours that may not have reached other servers
  std::uint64_t malformed = 0;
};

/// Ends with its owner: when the destructor has returned no handler runs any more. The bus must still be there.
class EventSubscription {
 public:
  virtual ~EventSubscription() = default;
};

class EventBus {
 public:
  virtual ~EventBus() = default;
  /// Subscribers of this server get it in any case, once; those of others while they can be reached.
  virtual Result<void> publish(const std::string& topic, const std::string& payload) = 0;
  virtual std::unique_ptr<EventSubscription> subscribe(EventHandlers handlers) = 0;
  virtual EventStats stats() const = 0;
};

Result<void> check_event(std::string_view topic, std::string_view payload) noexcept;

}  // namespace higgs::boson

HIGGS_ERROR_ENUM(higgs::boson, EventError)
