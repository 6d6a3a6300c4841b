// Which actions of operators this node has carried out, and with what result: they are delivered at least once, and are
// carried out once, also over a restart. On disk, since a restart is itself such an action.
#pragma once

#include <deque>
#include <filesystem>
#include <string_view>

#include "api/node.h"
#include "base/result.h"

namespace higgs::node {

class ActionLog {
 public:
  /// The oldest are forgotten. A server has at most 64 waiting for a node, so what is forgotten is long answered.
  static constexpr std::size_t kMostRemembered = 256;

  /// Reads the file if it is there. One that is no log counts as empty.
  explicit ActionLog(std::filesystem::path file);

  /// nullptr: never carried out, as far as is remembered.
  const api::ActionResult* find(std::string_view id) const;
  /// On disk when this returns well; otherwise not remembered at all.
  Result<void> add(api::ActionResult result);
  std::size_t size() const noexcept { return results_.size(); }

 private:
  std::filesystem::path file_;
  std::deque<api::ActionResult> results_;
};

}  // namespace higgs::node
