#include "bosonserver/cluster/node_locator.h"

#include <algorithm>

namespace higgs::boson {
namespace {

constexpr const char* kNodes = "node";
/// Each costs a call of presence and one of the store.
constexpr std::size_t kSavedTogether = 50;

std::string key_of(NodeId node) { return std::string(kNodes) + "/" + to_string(node); }

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

bool NodeLocator::save_missed() {
  for (std::size_t tried = 0; tried < kSavedTogether; ++tried) {
    NodeId node;
    bool here = false;
    {
      const std::lock_guard lock(mutex_);
      if (unsaved_.empty()) return false;
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
    if (!save(node, here)) return false;
  }
  return true;
}

void NodeLocator::refresh(Instant now) {
  const auto nodes = due(now);
  if (nodes.empty()) return;
  std::vector<std::string> names;
  names.reserve(nodes.size());
  for (const auto& node : nodes) names.push_back(to_string(node));
  // A link that is half open here may stand elsewhere by now: who came last is right.
  const auto renewed = presence_.renew(kNodes, names, to_string(self_), kNodePresence);
  if (!renewed && renewed.error() == PresenceError::kUnavailable) return;
  const std::lock_guard lock(mutex_);
  repeated_ = now;
  repeated_last_ = nodes.back();
}

/// Whose turn it is: each node's comes once in kNodePresenceInterval.
std::vector<NodeId> NodeLocator::due(Instant now) {
  const std::lock_guard lock(mutex_);
  constexpr auto kInterval = std::chrono::milliseconds(kNodePresenceInterval).count();
  const auto passed = std::chrono::floor<std::chrono::milliseconds>(now - repeated_).count();
  const auto share = static_cast<std::size_t>(std::min(passed, kInterval));
  const auto count = (here_.size() * share + kInterval - 1) / kInterval;
  std::vector<NodeId> nodes;
  nodes.reserve(count);
  for (auto next = here_.upper_bound(repeated_last_); nodes.size() < count; ++next) {
    if (next == here_.end()) next = here_.begin();
    nodes.push_back(*next);
  }
  return nodes;
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
