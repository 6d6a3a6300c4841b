#include "bosonserver/api/node_directory.h"

namespace higgs::boson {

Result<NodeDirectory::Snapshot> NodeDirectory::nodes(Instant now) {
  std::uint64_t epoch = 0;
  {
    const std::lock_guard lock(mutex_);
    if (snapshot_ && now - taken_ < kDirectoryAge) return snapshot_;
    epoch = epoch_;
  }
  auto all = std::make_shared<std::vector<NodeRecord>>();
  while (all->size() < kMaxNodes) {
    const auto after = all->empty() ? std::optional<NodeId>() : std::optional<NodeId>(all->back().id);
    auto page = store_.nodes(after, kMaxPage);
    if (!page) return page.error();
    all->insert(all->end(), std::make_move_iterator(page->begin()), std::make_move_iterator(page->end()));
    if (page->size() < kMaxPage) break;
  }
  const std::lock_guard lock(mutex_);
  if (epoch == epoch_) {
    snapshot_ = all;
    taken_ = now;
  }
  return Snapshot(all);
}

void NodeDirectory::forget() {
  const std::lock_guard lock(mutex_);
  snapshot_.reset();
  ++epoch_;
}

}  // namespace higgs::boson
