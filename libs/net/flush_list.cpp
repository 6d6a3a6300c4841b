#include "net/flush_list.h"

#include <algorithm>
#include <unordered_map>

namespace higgs::net {

FlushList::FlushList(EventLoop& loop) : loop_(loop), hook_(loop.add_end_of_turn([this] { run(); })) {}
FlushList::~FlushList() { loop_.remove_end_of_turn(hook_); }

std::shared_ptr<FlushList> FlushList::of(EventLoop& loop) {
  thread_local std::unordered_map<EventLoop*, std::weak_ptr<FlushList>> lists;
  std::erase_if(lists, [](const auto& entry) { return entry.second.expired(); });
  auto& slot = lists[&loop];
  auto list = slot.lock();
  if (!list) slot = list = std::make_shared<FlushList>(loop);
  return list;
}

void FlushList::add(Flushable& who) {
  if (who.listed_) return;
  who.listed_ = true;
  // Outside a turn, or when this turn's hook has already run (a later hook may send), somebody must see to a next turn.
  const bool late = !loop_.in_loop_thread() || ran_at_ == loop_.now().monotonic;
  if (listed_.empty() && late) {
    loop_.post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->run();
    });
  }
  listed_.push_back(&who);
}

void FlushList::remove(Flushable& who) noexcept {
  if (!who.listed_) return;
  who.listed_ = false;
  std::erase(listed_, &who);
  std::replace(running_.begin(), running_.end(), &who, static_cast<Flushable*>(nullptr));
}

void FlushList::run() {
  ran_at_ = loop_.now().monotonic;
  if (!running_.empty() || listed_.empty()) return;
  const auto keep = shared_from_this();  // flushing may end the last connection
  // What is added meanwhile waits for the next turn: a sender that always has more must not hold up the loop.
  running_.swap(listed_);
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Flushable* who = running_[i];
    if (who == nullptr) continue;
    who->listed_ = false;
    running_[i] = nullptr;
    who->flush();
  }
  running_.clear();
}

}  // namespace higgs::net
