#include "bosonserver/cluster/node_locator.h"

#include <vector>

namespace higgs::boson {
namespace {

std::string key_of(NodeId node) { return "node/" + to_string(node); }

}  // namespace

void NodeLocator::link_up(NodeId node) {
  {
    const std::lock_guard lock(mutex_);
    here_.insert(node);
  }
  (void)presence_.set(key_of(node), to_string(self_), kNodePresence);
  save(node, true);
  (void)bus_.publish(std::string(kNodeMovedTopic), to_string(node) + " " + to_string(self_));
}

void NodeLocator::link_down(NodeId node) {
  {
    const std::lock_guard lock(mutex_);
    here_.erase(node);
  }
  // Only what still says this server: the node may have gone on to another.
  (void)presence_.erase(key_of(node), to_string(self_));
  save(node, false);
}

bool NodeLocator::save(NodeId node, bool here) {
  const auto saved = here ? store_.set_node_server(node, self_) : store_.clear_node_server(node, self_);
  // A node that is not there any more, or is another server's by now, is no reason to try again.
  const bool missed = !saved && saved.error() == StoreError::kUnavailable;
  const std::lock_guard lock(mutex_);
  if (missed)
    unsaved_.insert(node);
  else
    unsaved_.erase(node);
  return !missed;
}

void NodeLocator::save_missed() {
  for (;;) {
    NodeId node;
    bool here = false;
    {
      const std::lock_guard lock(mutex_);
      if (unsaved_.empty()) return;
      node = *unsaved_.begin();
      here = here_.contains(node);
    }
    // Who came last at another server has told the store since: only what nobody else holds is claimed.
    if (here) {
      const auto said = presence_.get(key_of(node));
      if (said && *said && **said != to_string(self_)) {
        const std::lock_guard lock(mutex_);
        unsaved_.erase(node);
        continue;
      }
    }
    if (!save(node, here)) return;
  }
}

void NodeLocator::refresh(Instant now) {
  save_missed();
  std::vector<NodeId> nodes;
  {
    const std::lock_guard lock(mutex_);
    if (now - repeated_ < kNodePresenceInterval) return;
    repeated_ = now;
    nodes.assign(here_.begin(), here_.end());
  }
  for (const auto& node : nodes) {
    // A link that is half open here may stand elsewhere by now: who came last is right.
    const auto said = presence_.get(key_of(node));
    if (!said) return;
    if (!*said || **said == to_string(self_)) (void)presence_.set(key_of(node), to_string(self_), kNodePresence);
  }
}

void NodeLocator::forget_own() { (void)store_.clear_nodes_of_server(self_); }

std::optional<ServerEntry> NodeLocator::locate(NodeId node) {
  if (const auto said = presence_.get(key_of(node)); said && *said) {
    const auto server = parse_id<ServerId>(**said);
    if (server && *server != self_) {
      if (auto entry = directory_.find(*server)) return entry;
    }
  }
  const auto record = store_.node(node);
  if (!record || !record->server || *record->server == self_) return std::nullopt;
  return directory_.find(*record->server);
}

std::optional<std::pair<NodeId, ServerId>> parse_node_moved(std::string_view payload) {
  const auto space = payload.find(' ');
  if (space == payload.npos) return std::nullopt;
  const auto node = parse_id<NodeId>(payload.substr(0, space));
  const auto server = parse_id<ServerId>(payload.substr(space + 1));
  if (!node || !server) return std::nullopt;
  return std::pair{*node, *server};
}

}  // namespace higgs::boson
