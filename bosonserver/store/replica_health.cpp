#include "bosonserver/store/replica_health.h"

#include <algorithm>

namespace higgs::boson {

void ReplicaHealth::primary_is_at(Instant asked, const ReplicaPlace& place) {
  cluster_ = place.cluster;
  questions_.push_back({asked, place.position});
  if (questions_.size() > kMostQuestions) questions_.pop_front();
}

void ReplicaHealth::catch_up(Instant asked, const ReplicaPlace& place) {
  primary_is_at(asked, place);
  // Not the highest position: that of a primary that is gone may never be reached.
  if (asked >= floor_.asked) floor_ = {asked, place.position};
}

ReplicaFault ReplicaHealth::judge(Instant now, const ReplicaPlace& place) {
  if (!place.in_recovery) return ReplicaFault::kNotAReplica;
  if (cluster_ && place.cluster != *cluster_) return ReplicaFault::kOtherDatabase;
  // Of a primary that took another's place the positions may be lower: the newest question counts.
  const auto reached = std::find_if(questions_.rbegin(), questions_.rend(),
                                    [&](const Question& question) { return question.position <= place.position; });
  if (reached == questions_.rend()) {
    const bool beginning = questions_.empty() || now - questions_.front().asked <= oldest_;
    return beginning ? ReplicaFault::kUnknown : ReplicaFault::kBehind;
  }
  reached_ = reached->asked;
  return now - *reached_ <= oldest_ ? ReplicaFault::kNone : ReplicaFault::kBehind;
}

std::optional<Instant::duration> ReplicaHealth::age(Instant now) const {
  if (!reached_) return std::nullopt;
  return now - *reached_;
}

}  // namespace higgs::boson
