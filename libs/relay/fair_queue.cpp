#include "relay/fair_queue.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/intrusive/list.hpp>

#include "base/assert.h"
#include "relay/batch_queue.h"
#include "relay/codel.h"

namespace higgs::relay {

namespace {
namespace intrusive = boost::intrusive;

struct Flow : intrusive::list_base_hook<intrusive::link_mode<intrusive::auto_unlink>> {
  Flow(Channel key, QueueContext& context) : channel(key), queue(context) {}

  Channel channel;
  BatchQueue queue;
  CoDel codel;
  std::int64_t deficit = 0;
  bool has_had_turn = false;
  std::uint64_t unreported_drops = 0;
  std::chrono::nanoseconds longest_wait{0};
};
using FlowList = intrusive::list<Flow, intrusive::constant_time_size<false>>;
}  // namespace

std::size_t quantum_for_rate(std::uint64_t bytes_per_second) noexcept {
  return std::clamp<std::size_t>(bytes_per_second / 1000, kMinQuantumBytes, kMaxQuantumBytes);
}

class FairQueue::Impl {
 public:
  Impl(FairQueueLimits limits, QueueContext& context) : limits_(limits), context_(context) {
    HIGGS_ASSERT(limits_.session_bytes >= kMaxMessageBytes + BatchQueue::kEntryOverheadBytes);
  }

  void push(Instant now, Channel channel, ByteView message) {
    auto& slot = flows_[channel];
    if (!slot) slot = std::make_unique<Flow>(channel, context_);
    Flow& flow = *slot;
    const std::size_t before = flow.queue.bytes();
    note(flow, flow.queue.push(now, message, limits_.session_bytes, DropReason::kQueueFull));
    account(before, flow);
    if (!flow.is_linked() && !flow.queue.empty()) {
      flow.has_had_turn = false;
      new_flows_.push_back(flow);
    }
  }

  Outgoing pop(Instant now, std::size_t quantum) {
    for (Bytes& buffer : spent_) context_.buffers.give_back(std::move(buffer));
    spent_.clear();
    parts_.clear();
    while (true) {
      const bool is_new = !new_flows_.empty();
      FlowList& list = is_new ? new_flows_ : old_flows_;
      if (list.empty()) return {};
      Flow& flow = list.front();
      // A session that has just got something to send has a turn at once; after that it waits for its round.
      if (!std::exchange(flow.has_had_turn, true)) flow.deficit = static_cast<std::int64_t>(quantum);
      if (flow.deficit <= 0) {
        flow.deficit += static_cast<std::int64_t>(quantum);
        old_flows_.splice(old_flows_.end(), list, list.begin());
        continue;
      }
      const std::size_t before = flow.queue.bytes();
      note(flow, flow.queue.drop_older_than(now - limits_.age, DropReason::kAge));
      note(flow, flow.codel.control(now, flow.queue));
      const Outgoing out = take(now, quantum, flow);
      account(before, flow);
      if (out) return out;
      // RFC 8290, 4.2: an emptied new flow takes one round among the old ones, so that it cannot stay new for ever.
      if (is_new && !old_flows_.empty())
        old_flows_.splice(old_flows_.end(), list, list.begin());
      else
        list.pop_front();
    }
  }

  void remove(Channel channel) {
    const auto found = flows_.find(channel);
    if (found == flows_.end()) return;
    bytes_ -= found->second->queue.bytes();
    flows_.erase(found);
  }

  bool empty() const noexcept { return bytes_ == 0; }
  std::size_t bytes() const noexcept { return bytes_; }
  bool has_reports() const noexcept { return !unreported_.empty(); }

  std::vector<Report> take_reports() {
    std::vector<Report> reports;
    for (const Channel channel : std::exchange(unreported_, {})) {
      const auto found = flows_.find(channel);
      if (found == flows_.end()) continue;
      Flow& flow = *found->second;
      if (flow.unreported_drops == 0) continue;
      reports.push_back({channel, std::exchange(flow.unreported_drops, 0),
                         std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::exchange(flow.longest_wait, std::chrono::nanoseconds{0}))});
    }
    return reports;
  }

 private:
  Outgoing take(Instant now, std::size_t quantum, Flow& flow) {
    if (flow.queue.empty()) return {};
    const auto wait = now - flow.queue.head_time();
    parts_.clear();
    parts_.emplace_back();  // the header's place
    const auto taken = flow.queue.take(quantum, parts_, spent_);
    note(flow, taken.malformed);
    if (taken.packets == 0) return {};
    flow.longest_wait = std::max(flow.longest_wait, wait);
    context_.delay.add(wait);
    header_ = encode_header({static_cast<std::uint16_t>(taken.packets), flow.channel});
    parts_.front() = header_;
    flow.deficit -= static_cast<std::int64_t>(taken.bytes);
    return {flow.channel, taken.packets, kHeaderBytes + taken.bytes, parts_};
  }

  void note(Flow& flow, std::size_t dropped) {
    if (dropped == 0) return;
    if (flow.unreported_drops == 0) unreported_.push_back(flow.channel);
    flow.unreported_drops += dropped;
  }
  void account(std::size_t before, const Flow& flow) noexcept { bytes_ = bytes_ - before + flow.queue.bytes(); }

  FairQueueLimits limits_;
  QueueContext& context_;
  FlowList new_flows_, old_flows_;
  std::unordered_map<Channel, std::unique_ptr<Flow>> flows_;
  std::size_t bytes_ = 0;
  std::vector<Channel> unreported_;
  // The message that pop() gave out.
  ByteArray<kHeaderBytes> header_{};
  std::vector<ByteView> parts_;
  std::vector<Bytes> spent_;
};

FairQueue::FairQueue(FairQueueLimits limits, QueueContext& context) : impl_(std::make_unique<Impl>(limits, context)) {}
FairQueue::~FairQueue() = default;
FairQueue::FairQueue(FairQueue&&) noexcept = default;
FairQueue& FairQueue::operator=(FairQueue&&) noexcept = default;

void FairQueue::push(Instant now, Channel channel, ByteView message) { impl_->push(now, channel, message); }
FairQueue::Outgoing FairQueue::pop(Instant now, std::size_t quantum_bytes) { return impl_->pop(now, quantum_bytes); }
void FairQueue::remove(Channel channel) { impl_->remove(channel); }
bool FairQueue::empty() const noexcept { return impl_->empty(); }
std::size_t FairQueue::bytes() const noexcept { return impl_->bytes(); }
bool FairQueue::has_reports() const noexcept { return impl_->has_reports(); }
std::vector<FairQueue::Report> FairQueue::take_reports() { return impl_->take_reports(); }

}  // namespace higgs::relay
