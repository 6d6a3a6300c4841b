// At which server a node's relay link stands. Each server says it of its own nodes, in presence and in the store;
// whoever asks tries presence first. What is told may be old: the relay asks again when a link leads nowhere.
//
// All of it calls the store or presence: on threads that may block. Thread-safe.
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "base/time.h"
#include "bosonserver/cache/event_bus.h"
#include "bosonserver/cache/presence.h"
#include "bosonserver/cluster/server_directory.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

/// Presence of a node that nobody repeats ends after this time; it is repeated thrice meanwhile.
inline constexpr std::chrono::seconds kNodePresence{60};
inline constexpr std::chrono::seconds kNodePresenceInterval{20};
/// Topic of the event bus: "NODE SERVER" when a link has come up.
inline constexpr std::string_view kNodeMovedTopic = "node-moved";

class NodeLocator {
 public:
  NodeLocator(Store& store, Presence& presence, EventBus& bus, const ServerDirectory& directory, ServerId self)
      : store_(store), presence_(presence), bus_(bus), directory_(directory), self_(self) {}

  /// Of this server's relay.
  void link_up(NodeId node);
  void link_down(NodeId node);
  /// To be called often: repeats of what is true as much as is due by then, all of it in kNodePresenceInterval. That
  /// costs one call of presence, however many nodes there are.
  void refresh(Instant now);
  /// Tells the store some of what it missed. True: there is more that it can be told now.
  bool save_missed();
  /// As this server begins: none of the links that it had before stands.
  void forget_own();

  /// Another living server; nullopt: none that is known.
  std::optional<ServerEntry> locate(NodeId node);

 private:
  bool save(NodeId node, bool here);
  std::vector<NodeId> due(Instant now);

  Store& store_;
  Presence& presence_;
  EventBus& bus_;
  const ServerDirectory& directory_;
  const ServerId self_;
  std::mutex mutex_;
  std::set<NodeId> here_;     // guarded by mutex_; bounded by RelayOptions::nodes
  std::set<NodeId> unsaved_;  // guarded by mutex_; of whose coming or going the store has not heard
  Instant repeated_{};        // guarded by mutex_
  NodeId repeated_last_;      // guarded by mutex_; the next in order is the next whose turn it is
};

/// nullopt for what is no such event.
std::optional<std::pair<NodeId, ServerId>> parse_node_moved(std::string_view payload);

}  // namespace higgs::boson
