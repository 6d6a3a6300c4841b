// Whether a read replica may be read: how old is what it has.
//
// The primary is asked for its position in the log again and again. When a replica has come to a position, it has all
// that was committed when the primary was asked for it. So no clock of another machine counts, and neither does how
// much is written: the replica of an idle primary is as new as the last question. While the primary does not answer,
// nobody knows that the replica is not behind, and it gets older.
//
// One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/time.h"

namespace higgs::boson {

/// What is older is not read, if nobody says otherwise.
inline constexpr std::chrono::seconds kReplicaAge{10};

/// A server's place in the log of its cluster.
struct ReplicaPlace {
  std::int64_t cluster = 0;  ///< PostgreSQL's system identifier
  bool in_recovery = false;  ///< it follows a primary
  std::uint64_t position =
      0;  ///< bytes of the log: of a primary those that are on its disk, of others what they replayed
};

enum class ReplicaFault {
  kNone,
  kNotAReplica,    ///< it follows nobody: it was promoted, or never was one
  kOtherDatabase,  ///< of another cluster than the primary
  kUnknown,        ///< the primary has not been asked for long enough to know how old it is
  kBehind,         ///< too old, or nobody knows how old
};

class ReplicaHealth {
 public:
  /// Questions that are remembered; the oldest go first.
  static constexpr std::size_t kMostQuestions = 128;

  explicit ReplicaHealth(Instant::duration oldest = kReplicaAge) : oldest_(oldest) {}

  /// `asked`: when the question was sent.
  void primary_is_at(Instant asked, const ReplicaPlace& place);
  /// As primary_is_at(); reads that begin after this must see what was committed before the question.
  void catch_up(Instant asked, const ReplicaPlace& place);

  /// What the replica has said of itself. Only with ReplicaFault::kNone it may be read.
  ReplicaFault judge(Instant now, const ReplicaPlace& place);
  /// That it has what catch_up() asked for.
  bool caught_up(const ReplicaPlace& place) const { return place.position >= floor_.position; }
  /// How old its state was at most, as it was judged last; nullopt: that was never known.
  std::optional<Instant::duration> age(Instant now) const;

 private:
  struct Question {
    Instant asked{};
    std::uint64_t position = 0;
  };

  const Instant::duration oldest_;
  std::deque<Question> questions_;       // the newest is last
  std::optional<std::int64_t> cluster_;  // the primary's
  Question floor_;                       // of the newest catch_up()
  std::optional<Instant> reached_;       // when the newest question was asked whose answer the replica has reached
};

}  // namespace higgs::boson
