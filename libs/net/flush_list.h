// Connections of one loop that have something to flush at the end of its turn.
#pragma once

#include <memory>
#include <vector>

#include "net/event_loop.h"

namespace higgs::net {

class Flushable {
 public:
  virtual ~Flushable() = default;
  /// May destroy itself or others.
  virtual void flush() = 0;

 private:
  friend class FlushList;
  bool listed_ = false;
};

class FlushList : public std::enable_shared_from_this<FlushList> {
 public:
  explicit FlushList(EventLoop& loop);
  ~FlushList();
  FlushList(const FlushList&) = delete;
  FlushList& operator=(const FlushList&) = delete;

  /// The list of this loop, shared by who hold it. Loop's thread.
  static std::shared_ptr<FlushList> of(EventLoop& loop);

  void add(Flushable& who);
  void remove(Flushable& who) noexcept;

 private:
  void run();

  EventLoop& loop_;
  std::uint64_t hook_;
  std::vector<Flushable*> listed_;
  std::vector<Flushable*> running_;
  Instant ran_at_{};  // the turn in which run() was called last
};

}  // namespace higgs::net
