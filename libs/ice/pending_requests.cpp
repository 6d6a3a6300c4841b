#include "ice/pending_requests.h"

#include <algorithm>

namespace higgs::ice {

namespace {

// Of our choosing: longer than any round trip that is of use.
constexpr std::chrono::seconds kLifetime{5};
constexpr std::size_t kMost = 256;

}  // namespace

void PendingRequests::add(const PendingRequest& request) {
  while (!requests_.empty() && (requests_.size() >= kMost || requests_.front().sent + kLifetime < request.sent))
    requests_.pop_front();
  requests_.push_back(request);
}

const PendingRequest* PendingRequests::find(Instant now, const stun::TransactionId& transaction) noexcept {
  const auto found = std::find_if(requests_.begin(), requests_.end(), [&](const PendingRequest& request) {
    return request.transaction == transaction && now - request.sent <= kLifetime;
  });
  return found == requests_.end() ? nullptr : &*found;
}

void PendingRequests::erase(const stun::TransactionId& transaction) noexcept {
  std::erase_if(requests_, [&](const PendingRequest& request) { return request.transaction == transaction; });
}

}  // namespace higgs::ice
