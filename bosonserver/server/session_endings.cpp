#include "bosonserver/server/session_endings.h"

namespace higgs::boson {

void SessionEndings::put(SessionId session, const Ending& ending) {
  if (waiting_.size() >= kMost && !waiting_.contains(session)) {
    ++lost_;
    return;
  }
  auto& entry = waiting_[session];
  entry.up_bytes += ending.up_bytes;
  entry.down_bytes += ending.down_bytes;
  if (ending.refused_at) entry.refused_at = ending.refused_at;
}

void SessionEndings::add(SessionId session, const SessionBytes& bytes, std::optional<std::int64_t> refused_at) {
  const std::lock_guard lock(mutex_);
  put(session, {bytes.up_bytes, bytes.down_bytes, refused_at});
}

/// False: the store is away; `ending` is what it has not taken.
bool SessionEndings::write(SessionId session, Ending& ending) {
  if (ending.up_bytes > 0 || ending.down_bytes > 0) {
    const auto added = store_.add_session_bytes(session, ending.up_bytes, ending.down_bytes);
    if (!added && added.error() == StoreError::kUnavailable) return false;
    ending.up_bytes = ending.down_bytes = 0;
  }
  if (!ending.refused_at) return true;
  const auto ended = store_.end_session(session, "refused", *ending.refused_at);
  return ended || ended.error() != StoreError::kUnavailable;
}

bool SessionEndings::write() {
  for (;;) {
    SessionId session;
    Ending ending;
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.empty()) return true;
      const auto first = waiting_.extract(waiting_.begin());
      session = first.key();
      ending = first.mapped();
    }
    if (write(session, ending)) continue;
    const std::lock_guard lock(mutex_);
    put(session, ending);
    return false;
  }
}

std::size_t SessionEndings::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

std::uint64_t SessionEndings::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

}  // namespace higgs::boson
