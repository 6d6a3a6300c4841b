#include "bosonserver/api/node_directory.h"

#include <algorithm>
#include <utility>

namespace higgs::boson {
namespace {

/// Heartbeats bear the time of the server that answered them, whose clock may be behind by as much as servers of one
/// cluster may differ, and are in the store a moment later.
constexpr std::int64_t kPulseMargin = (kServerSilence + std::chrono::seconds(3)).count();

}  // namespace

Result<NodeDirectory::Snapshot> NodeDirectory::nodes(Now now) {
  std::unique_lock reading(reading_, std::try_to_lock);
  if (!reading) {
    // A store that takes its time holds one reader up, not all of them.
    {
      const std::lock_guard lock(mutex_);
      if (snapshot_ && now.monotonic - taken_ < kDirectoryPatience) return snapshot_;
    }
    reading.lock();
  }
  {
    const std::lock_guard lock(mutex_);
    const bool same = !all_changed_ && changed_.empty() && now.monotonic - taken_ < kDirectoryAge;
    if (snapshot_ && same) return snapshot_;
  }
  if (const auto read = refresh(now); !read) return read.error();
  const std::lock_guard lock(mutex_);
  auto all = std::make_shared<std::vector<Node>>();
  all->reserve(nodes_.size());
  for (const auto& [id, node] : nodes_) all->push_back(node);
  snapshot_ = std::move(all);
  taken_ = now.monotonic;
  return snapshot_;
}

const NodeRecord* NodeDirectory::find(const std::vector<Node>& nodes, NodeId id) {
  const auto found =
      std::lower_bound(nodes.begin(), nodes.end(), id, [](const Node& node, NodeId of) { return node->id < of; });
  return found != nodes.end() && (*found)->id == id ? found->get() : nullptr;
}

Result<void> NodeDirectory::refresh(Now now) {
  bool all = false;
  std::set<NodeId> changed;
  {
    const std::lock_guard lock(mutex_);
    all = std::exchange(all_changed_, false);
    changed.swap(changed_);
  }
  const auto again = [&] {
    const std::lock_guard lock(mutex_);
    all_changed_ = all_changed_ || all;
    changed_.merge(changed);
  };
  if (all) {
    auto read = read_all();
    if (!read) {
      again();
      return read.error();
    }
    const std::lock_guard lock(mutex_);
    nodes_ = std::move(*read);
    loaded_ = true;
    pulses_until_ = unix_seconds(now.wall);
    pulses_read_ = now.monotonic;
  } else if (!changed.empty()) {
    auto read = store_.nodes_by_id({changed.begin(), changed.end()});
    if (!read) {
      again();
      return read.error();
    }
    const std::lock_guard lock(mutex_);
    std::set<NodeId> gone = changed;
    for (auto& node : *read) {
      carry_over(nodes_, node);
      gone.erase(node.id);
      const auto id = node.id;
      nodes_[id] = std::make_shared<const NodeRecord>(std::move(node));
    }
    for (const auto& id : gone) nodes_.erase(id);
  }
  return read_pulses(now);
}

Result<NodeDirectory::Nodes> NodeDirectory::read_all() {
  // What has changed is not told again: a replica that has not heard of it yet would hide it for ever.
  if (const auto caught_up = store_.catch_up(); !caught_up) return caught_up.error();
  Nodes nodes;
  std::optional<NodeId> last;
  for (std::size_t page = kMaxPage; page == kMaxPage && nodes.size() < kMaxNodes;) {
    auto read = store_.nodes(last, kMaxPage);
    if (!read) return read.error();
    page = read->size();
    const std::lock_guard lock(mutex_);
    for (auto& node : *read) {
      last = node.id;
      carry_over(nodes_, node);
      nodes.emplace_hint(nodes.end(), *last, std::make_shared<const NodeRecord>(std::move(node)));
    }
  }
  return nodes;
}

Result<void> NodeDirectory::read_pulses(Now now) {
  if (now.monotonic - pulses_read_ < kPulseInterval || cluster_.others().empty()) return {};
  std::optional<NodeId> last;
  // By what they say, since the store may be read a moment behind.
  auto newest = pulses_until_;
  for (std::size_t page = kMaxPage; page == kMaxPage;) {
    const auto read = store_.heard_since(pulses_until_ - kPulseMargin, last, kMaxPage);
    if (!read) return read.error();
    page = read->size();
    const std::lock_guard lock(mutex_);
    for (const auto& heartbeat : *read) {
      last = heartbeat.node;
      newest = std::max(newest, heartbeat.time);
      const auto found = nodes_.find(heartbeat.node);
      // An event may have told of the same second, and later.
      if (found != nodes_.end() && found->second->last_seen < heartbeat.time) apply(heartbeat);
    }
  }
  pulses_until_ = std::min(newest, unix_seconds(now.wall));
  pulses_read_ = now.monotonic;
  return {};
}

void NodeDirectory::forget(NodeId node) {
  const std::lock_guard lock(mutex_);
  if (changed_.size() < kMaxNodes) {
    changed_.insert(node);
  } else {
    all_changed_ = true;
    changed_.clear();
  }
}

void NodeDirectory::forget() {
  const std::lock_guard lock(mutex_);
  all_changed_ = true;
}

void NodeDirectory::heard(const HeartbeatRecord& heartbeat) {
  const std::lock_guard lock(mutex_);
  if (loaded_) apply(heartbeat);
}

/// Under mutex_.
void NodeDirectory::apply(const HeartbeatRecord& heartbeat) {
  const auto found = nodes_.find(heartbeat.node);
  if (found == nodes_.end() || heartbeat.time < found->second->last_seen) return;
  auto node = std::make_shared<NodeRecord>(*found->second);
  node->status = heartbeat.status;
  node->metrics = heartbeat.metrics;
  node->address = heartbeat.address;
  node->last_seen = heartbeat.time;
  found->second = std::move(node);
}

/// What was heard of the node while the store was being read, or is not in it yet.
void NodeDirectory::carry_over(const Nodes& before, NodeRecord& node) {
  const auto found = before.find(node.id);
  if (found == before.end() || found->second->last_seen <= node.last_seen) return;
  node.status = found->second->status;
  node.metrics = found->second->metrics;
  node.address = found->second->address;
  node.last_seen = found->second->last_seen;
}

}  // namespace higgs::boson
