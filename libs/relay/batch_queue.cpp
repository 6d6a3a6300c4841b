#include "relay/batch_queue.h"

#include <utility>

#include "base/assert.h"

namespace higgs::relay {

namespace {
/// Served entries at the front of the vector are given back when there are this many and they are half of it.
constexpr std::size_t kCompactEntries = 16;
}  // namespace

BatchQueue::~BatchQueue() { drop_all(DropReason::kClosed); }

std::size_t BatchQueue::push(Instant now, ByteView message, std::size_t limit_bytes, DropReason reason) {
  const std::size_t packets = load_be<std::uint16_t>(message.data() + 2);
  const ByteView records = message.subspan(kHeaderBytes);
  const std::size_t charge = records.size() + kEntryOverheadBytes;
  HIGGS_ASSERT(charge <= limit_bytes);
  std::size_t dropped = 0;
  while (bytes_ + charge > limit_bytes) dropped += drop_head_packet(reason);
  while (!empty() && !context_->memory.fits(charge)) dropped += drop_head_message(DropReason::kMemory);
  if (!context_->memory.fits(charge)) {
    context_->drops.add(DropReason::kMemory, packets);
    return dropped + packets;
  }
  context_->memory.take(charge);
  bytes_ += charge;
  entries_.push_back({context_->buffers.copy(records), 0, packets, now});
  return dropped;
}

BatchQueue::Entry BatchQueue::pop_head() {
  Entry entry = std::move(entries_[head_++]);
  // What was taken off the front no longer waits, but its memory was held until now.
  bytes_ -= entry.charge() - entry.offset;
  context_->memory.give_back(entry.charge());
  if (head_ == entries_.size()) {
    entries_.clear();
    head_ = 0;
  } else if (head_ >= kCompactEntries && head_ * 2 >= entries_.size()) {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  return entry;
}

std::size_t BatchQueue::drop_head_message(DropReason reason) {
  Entry entry = pop_head();
  context_->drops.add(reason, entry.packets);
  context_->buffers.give_back(std::move(entry.records));
  return entry.packets;
}

std::size_t BatchQueue::drop_head_packet(DropReason reason) {
  Entry& head = entries_[head_];
  if (head.packets == 1) return drop_head_message(reason);
  const std::size_t record = first_record_bytes(ByteView(head.records).subspan(head.offset));
  if (record == 0) return drop_head_message(DropReason::kMalformed);
  shorten_head(record, 1);
  context_->drops.add(reason, 1);
  return 1 + drop_head_if_impossible();
}

void BatchQueue::shorten_head(std::size_t bytes, std::size_t packets) {
  Entry& head = entries_[head_];
  head.offset += bytes;
  head.packets -= packets;
  bytes_ -= bytes;
}

/// What is left after a cut must still have room for the packets its header promised: otherwise a sender with wrong
/// lengths could make us send a message with a bad header, for which the receiver closes a link that others share.
std::size_t BatchQueue::drop_head_if_impossible() {
  const Entry& head = entries_[head_];
  if (head.records.size() - head.offset >= head.packets * (kLengthBytes + 1)) return 0;
  return drop_head_message(DropReason::kMalformed);
}

std::size_t BatchQueue::drop_older_than(Instant oldest, DropReason reason) {
  std::size_t dropped = 0;
  while (!empty() && head_time() < oldest) dropped += drop_head_message(reason);
  return dropped;
}

std::size_t BatchQueue::drop_all(DropReason reason) {
  std::size_t dropped = 0;
  while (!empty()) dropped += drop_head_message(reason);
  return dropped;
}

BatchQueue::Taken BatchQueue::take(std::size_t quantum_bytes, std::vector<ByteView>& parts, std::vector<Bytes>& spent) {
  const std::size_t limit = std::min(quantum_bytes, kMaxMessageBytes - kHeaderBytes);
  Taken taken;
  while (!empty() && taken.packets < kMaxPackets) {
    Entry& head = entries_[head_];
    const ByteView rest = ByteView(head.records).subspan(head.offset);
    if (taken.bytes + rest.size() <= limit && taken.packets + head.packets <= kMaxPackets) {
      parts.push_back(rest);
      taken.bytes += rest.size();
      taken.packets += head.packets;
      spent.push_back(std::move(pop_head().records));
      continue;
    }
    std::size_t cut = 0, count = 0;
    bool malformed = false;
    while (count + 1 < head.packets && taken.packets + count < kMaxPackets) {
      const std::size_t record = first_record_bytes(rest.subspan(cut));
      malformed = record == 0;
      const bool first = taken.packets + count == 0;
      if (malformed || (!first && taken.bytes + cut + record > limit)) break;
      cut += record;
      ++count;
    }
    if (malformed) {
      taken.malformed += drop_head_message(DropReason::kMalformed);
      continue;
    }
    if (count == 0 && taken.packets == 0) {
      // One packet, larger than the quantum: it goes alone.
      parts.push_back(rest);
      taken.bytes += rest.size();
      taken.packets += head.packets;
      spent.push_back(std::move(pop_head().records));
      break;
    }
    if (count == 0) break;
    shorten_head(cut, count);
    if (const std::size_t dropped = drop_head_if_impossible(); dropped > 0) {
      context_->drops.add(DropReason::kMalformed, count);
      taken.malformed += dropped + count;
      continue;
    }
    parts.push_back(rest.first(cut));
    taken.bytes += cut;
    taken.packets += count;
    break;
  }
  return taken;
}

}  // namespace higgs::relay
