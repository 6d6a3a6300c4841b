#include "higgsnode/public_addresses.h"

#include <algorithm>

namespace higgs::node {

bool PublicAddresses::note(Source source, const std::vector<IpAddress>& addresses) {
  Told now;
  for (const auto& address : addresses) {
    const auto plain = address.unmapped();
    (plain.is_v6() ? now.v6 : now.v4).push_back(plain);
  }
  auto& told = told_[source];
  if (!now.v4.empty()) told.v4 = std::move(now.v4);
  if (!now.v6.empty()) told.v6 = std::move(now.v6);

  std::vector<IpAddress> all;
  for (const auto& [_, each] : told_) {
    all.insert(all.end(), each.v4.begin(), each.v4.end());
    all.insert(all.end(), each.v6.begin(), each.v6.end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  if (all == all_) return false;
  all_ = std::move(all);
  return true;
}

}  // namespace higgs::node
