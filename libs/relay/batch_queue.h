// The queue of one session in one direction: batches in order, cut and dropped at packet boundaries only where needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "relay/frame.h"
#include "relay/queue_context.h"

namespace higgs::relay {

class BatchQueue {
 public:
  /// `context` must outlive the queue.
  explicit BatchQueue(QueueContext& context) noexcept : context_(&context) {}
  ~BatchQueue();
  BatchQueue(const BatchQueue&) = delete;
  BatchQueue& operator=(const BatchQueue&) = delete;

  /// Copies the packets of a message whose header was parsed. Makes room below `limit_bytes` by dropping from the head
  /// for `reason`. Returns the packets dropped (all of the new ones, if the memory budget has no room at all).
  std::size_t push(Instant now, ByteView message, std::size_t limit_bytes, DropReason reason);

  bool empty() const noexcept { return head_ == entries_.size(); }
  /// What the packets take, with their lengths and what the queue adds for each message. The memory budget is charged
  /// for whole messages until their last packet went: at most one message more.
  std::size_t bytes() const noexcept { return bytes_; }
  /// When the packet at the head came. The queue must not be empty.
  Instant head_time() const noexcept { return entries_[head_].enqueued; }

  /// Each returns the number of packets dropped, which is also counted in the context.
  std::size_t drop_head_packet(DropReason reason);
  std::size_t drop_older_than(Instant oldest, DropReason reason);
  std::size_t drop_all(DropReason reason);

  struct Taken {
    std::size_t packets = 0;
    std::size_t bytes = 0;      ///< records only, without a message header
    std::size_t malformed = 0;  ///< packets dropped on the way
  };
  /// Takes packet records from the head for one message: at least one packet, as many as fit in `quantum_bytes`.
  /// Views are appended to `parts` and stay valid until the next call of this queue, and until `spent` is cleared.
  Taken take(std::size_t quantum_bytes, std::vector<ByteView>& parts, std::vector<Bytes>& spent);

  /// Charged for each message besides its bytes.
  static constexpr std::size_t kEntryOverheadBytes = 64;

 private:
  struct Entry {
    Bytes records;
    std::size_t offset = 0;
    std::size_t packets = 0;
    Instant enqueued;
    std::size_t charge() const noexcept { return records.size() + kEntryOverheadBytes; }
  };
  Entry pop_head();
  std::size_t drop_head_message(DropReason reason);
  void shorten_head(std::size_t bytes, std::size_t packets);
  std::size_t drop_head_if_impossible();

  QueueContext* context_;
  std::vector<Entry> entries_;
  std::size_t head_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace higgs::relay
