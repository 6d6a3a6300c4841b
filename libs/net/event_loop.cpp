#include "net/event_loop.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <list>
#include <system_error>
#include <thread>
#include <utility>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "runtime/clock.h"

namespace higgs::net {

namespace {

constexpr int kEventsPerTurn = 256;
constexpr std::uint64_t kMailboxTag = ~std::uint64_t{0};

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

struct Registration {
  FdHandler* handler = nullptr;
  std::uint32_t generation = 0;  ///< tells an event of this registration from one of an earlier user of the number
};

struct EndOfTurn {
  std::uint64_t id;
  std::function<void()> action;
  bool removed = false;
};

}  // namespace

class EventLoop::Impl {
 public:
  using TimerKey = std::pair<Instant, TimerId>;

  Impl() : epoll(::epoll_create1(EPOLL_CLOEXEC)), wakeup(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (epoll < 0 || wakeup < 0) fail("event loop");
    epoll_event event{.events = EPOLLIN, .data = {.u64 = kMailboxTag}};
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, wakeup, &event) != 0) fail("event loop");
  }
  ~Impl() {
    ::close(wakeup);
    ::close(epoll);
  }

  void control(int operation, int fd, std::uint32_t events) const {
    const std::uint64_t generation = registrations[static_cast<std::size_t>(fd)].generation;
    epoll_event event{.events = events, .data = {.u64 = generation << 32 | static_cast<std::uint32_t>(fd)}};
    if (::epoll_ctl(epoll, operation, fd, &event) != 0) fail("epoll_ctl");
  }

  void dispatch(std::uint64_t tag, std::uint32_t events) {
    const auto fd = static_cast<std::size_t>(tag & 0xffffffff);
    if (fd >= registrations.size()) return;
    const Registration& registration = registrations[fd];
    if (registration.handler == nullptr || registration.generation != static_cast<std::uint32_t>(tag >> 32)) return;
    registration.handler->on_events(events);
  }

  void drain_mailbox() {
    std::uint64_t count = 0;
    // The counter is reset before the letters are taken, so one that comes in between wakes the loop again.
    if (::read(wakeup, &count, sizeof(count)) < 0 && errno != EAGAIN) fail("eventfd");
    std::vector<std::function<void()>> letters;
    {
      const std::lock_guard lock(mutex);
      letters.swap(mailbox);
    }
    for (auto& letter : letters) letter();
  }

  bool run_timers(Instant now) {
    const TimerId first_new = next_id;  // a timer that is set by one of these waits for the next turn
    bool any = false;
    for (auto it = timers.begin(); it != timers.end() && it->first.first <= now;) {
      if (it->first.second >= first_new) {
        ++it;
        continue;
      }
      const std::function<void()> action = std::move(it->second);
      due_of.erase(it->first.second);
      timers.erase(it);
      action();
      any = true;
      it = timers.begin();  // the action may have cancelled any of them
    }
    return any;
  }

  void run_end_of_turn() {
    for (auto& hook : hooks) {
      if (!hook.removed) hook.action();
    }
    if (hooks_removed) {
      hooks.remove_if([](const EndOfTurn& hook) { return hook.removed; });
      hooks_removed = false;
    }
  }

  int timeout_ms(Instant now) const {
    if (timers.empty()) return -1;
    const auto wait = timers.begin()->first.first - now;
    if (wait.count() <= 0) return 0;
    // Rounded up: a timer never fires early. Capped, since a caller may ask for "never" as a far instant.
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
    return ms > 60'000 ? 60'000 : static_cast<int>(ms);
  }

  int epoll;
  int wakeup;
  std::vector<Registration> registrations;  // by descriptor
  std::uint32_t next_generation = 1;
  std::map<TimerKey, std::function<void()>> timers;
  std::unordered_map<TimerId, Instant> due_of;
  TimerId next_id = 1;
  std::list<EndOfTurn> hooks;
  bool hooks_removed = false;

  std::mutex mutex;
  std::vector<std::function<void()>> mailbox;  // guarded by mutex
  bool stopped = false;                        // guarded by mutex
  std::atomic<bool> stop_requested{false};
  std::atomic<std::thread::id> thread{};
};

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) { read_clocks(); }
EventLoop::~EventLoop() = default;

void EventLoop::read_clocks() noexcept { now_ = runtime::now(); }

void EventLoop::add(int fd, std::uint32_t events, FdHandler& handler) {
  HIGGS_ASSERT(fd >= 0);
  const auto index = static_cast<std::size_t>(fd);
  if (impl_->registrations.size() <= index) impl_->registrations.resize(index + 64);
  HIGGS_ASSERT(impl_->registrations[index].handler == nullptr);
  impl_->registrations[index] = {&handler, impl_->next_generation++};
  try {
    impl_->control(EPOLL_CTL_ADD, fd, events);
  } catch (...) {
    impl_->registrations[index].handler = nullptr;
    throw;
  }
}

void EventLoop::modify(int fd, std::uint32_t events) { impl_->control(EPOLL_CTL_MOD, fd, events); }

void EventLoop::remove(int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (fd < 0 || index >= impl_->registrations.size() || impl_->registrations[index].handler == nullptr) return;
  impl_->registrations[index].handler = nullptr;
  ::epoll_ctl(impl_->epoll, EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::TimerId EventLoop::at(Instant when, std::function<void()> action) {
  const TimerId id = impl_->next_id++;
  impl_->timers.emplace(Impl::TimerKey{when, id}, std::move(action));
  impl_->due_of.emplace(id, when);
  return id;
}

EventLoop::TimerId EventLoop::after(std::chrono::nanoseconds delay, std::function<void()> action) {
  if (!in_loop_thread()) read_clocks();
  return at(now_.monotonic + delay, std::move(action));
}

void EventLoop::cancel(TimerId id) {
  const auto due = impl_->due_of.find(id);
  if (due == impl_->due_of.end()) return;
  impl_->timers.erase(Impl::TimerKey{due->second, id});
  impl_->due_of.erase(due);
}

void EventLoop::post(std::function<void()> action) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopped) return;
    impl_->mailbox.push_back(std::move(action));
    if (impl_->mailbox.size() > 1) return;  // whoever put the first one in has rung already
  }
  const std::uint64_t one = 1;
  if (::write(impl_->wakeup, &one, sizeof(one)) < 0 && errno != EAGAIN) fail("eventfd");
}

std::uint64_t EventLoop::add_end_of_turn(std::function<void()> action) {
  const std::uint64_t id = impl_->next_id++;
  impl_->hooks.push_back({id, std::move(action)});
  return id;
}

void EventLoop::remove_end_of_turn(std::uint64_t id) {
  for (auto& hook : impl_->hooks) {
    if (hook.id == id) hook.removed = impl_->hooks_removed = true;
  }
}

void EventLoop::run() {
  impl_->thread.store(std::this_thread::get_id());
  std::array<epoll_event, kEventsPerTurn> events;
  while (!impl_->stop_requested.load()) {
    read_clocks();
    const int count = ::epoll_wait(impl_->epoll, events.data(), kEventsPerTurn, impl_->timeout_ms(now_.monotonic));
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    read_clocks();
    bool handled = false;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kMailboxTag)
        impl_->drain_mailbox();
      else
        impl_->dispatch(event.data.u64, event.events);
      handled = true;
    }
    if (impl_->run_timers(now_.monotonic)) handled = true;
    if (handled) impl_->run_end_of_turn();
  }
  impl_->thread.store({});
  std::vector<std::function<void()>> dropped;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopped = true;
    dropped.swap(impl_->mailbox);
  }
}

void EventLoop::stop() {
  impl_->stop_requested.store(true);
  const std::uint64_t one = 1;
  if (::write(impl_->wakeup, &one, sizeof(one)) < 0 && errno != EAGAIN) fail("eventfd");
}

bool EventLoop::in_loop_thread() const noexcept { return impl_->thread.load() == std::this_thread::get_id(); }

}  // namespace higgs::net
