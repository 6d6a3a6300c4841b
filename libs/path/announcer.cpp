#include "path/announcer.h"

#include <algorithm>
#include <string>

namespace higgs::path {

void Announcer::begin(ice::Description description) {
  description_ = std::move(description);
  candidates_.clear();
  ended_ = false;
  told_predicted_ = predicted_;
  tell_all();
}

void Announcer::add(const ice::Candidate& candidate) {
  const auto known = std::ranges::find(candidates_, candidate.endpoint, &ice::Candidate::endpoint);
  if (known != candidates_.end()) {
    if (*known == candidate) return;
    *known = candidate;
  } else if (candidates_.size() < kMaxCandidates) {
    candidates_.push_back(candidate);
  } else {
    ++dropped_;
    return;
  }
  tell(CandidateSignal{description_.generation, candidate});
}

void Announcer::remove(const Endpoint& endpoint) {
  std::erase_if(candidates_, [&](const ice::Candidate& candidate) { return candidate.endpoint == endpoint; });
}

void Announcer::set_predicted(const std::vector<Endpoint>& endpoints) {
  predicted_.assign(endpoints.begin(),
                    endpoints.begin() + static_cast<std::ptrdiff_t>(std::min(endpoints.size(), kMaxPredicted)));
  if (!told_predicted_.empty()) return;
  told_predicted_ = predicted_;
  tell_predicted();
}

void Announcer::end() {
  if (ended_) return;
  ended_ = true;
  tell(CandidatesEnd{description_.generation});
}

void Announcer::path_changed(const PathSignal& path) {
  path_ = path;
  // Only the last word counts.
  std::erase_if(queue_, [](const Signal& signal) { return std::holds_alternative<PathSignal>(signal); });
  tell(path);
}

void Announcer::set_open(bool open) {
  if (open == open_) return;
  open_ = open;
  tell_all();
}

void Announcer::tell_all() {
  queue_.clear();
  tell(description_);
  for (const auto& candidate : candidates_) tell(CandidateSignal{description_.generation, candidate});
  tell_predicted();
  if (ended_) tell(CandidatesEnd{description_.generation});
  if (path_) tell(*path_);
}

std::optional<relay::PeerMessage> Announcer::poll() {
  if (queue_.empty()) return std::nullopt;
  auto message = encode_signal(queue_.front());
  queue_.pop_front();
  return message;
}

void Announcer::tell_predicted() {
  for (const auto& endpoint : told_predicted_) {
    // The priority of what is worst (RFC 8445, section 5.1.2.1).
    const auto priority = ice::candidate_priority(ice::CandidateType::kRelayed, endpoint.address);
    tell(
        CandidateSignal{description_.generation,
                        {ice::CandidateType::kServerReflexive, endpoint, priority, std::string(kPredictedFoundation)}});
  }
}

void Announcer::tell(Signal signal) {
  if (!open_) return;
  if (queue_.size() >= kMaxQueued) {
    ++dropped_;
    return;
  }
  queue_.push_back(std::move(signal));
}

}  // namespace higgs::path
