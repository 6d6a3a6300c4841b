#include "runtime/task_group.h"

#include <list>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "base/assert.h"
#include "runtime/log.h"

namespace higgs::runtime {
namespace asio = boost::asio;

class TaskGroup::Impl {
 public:
  struct Task {
    std::string name;
    asio::cancellation_signal signal;
  };
  using Tasks = std::list<std::shared_ptr<Task>>;

  Impl(asio::any_io_executor e, ErrorHandler handler) : executor(std::move(e)), on_error(std::move(handler)) {}

  void ended(Tasks::iterator task, const std::exception_ptr& error) {
    const auto held = *task;
    tasks.erase(task);
    if (error) report(held->name, error);
    if (tasks.empty() && joining != nullptr) joining->cancel();
  }

  void report(const std::string& name, const std::exception_ptr& error) const {
    std::string what = "unknown exception";
    try {
      std::rethrow_exception(error);
    } catch (const boost::system::system_error& failure) {
      if (cancelled && failure.code() == asio::error::operation_aborted) return;
      what = failure.what();
    } catch (const std::exception& failure) {
      what = failure.what();
    } catch (...) {
    }
    log::error("a task failed", {{"task", name}, {"error", what}});
    if (on_error) on_error(name, error);
  }

  asio::any_io_executor executor;
  ErrorHandler on_error;
  Tasks tasks;
  asio::steady_timer* joining = nullptr;
  bool cancelled = false;
  bool abandoned = false;
};

TaskGroup::TaskGroup(asio::any_io_executor executor, ErrorHandler on_error)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(on_error))) {}

TaskGroup::~TaskGroup() { HIGGS_ASSERT(impl_->tasks.empty() || impl_->abandoned); }

void TaskGroup::spawn(std::string name, asio::awaitable<void> task) {
  if (impl_->cancelled) return;
  auto entry = std::make_shared<Impl::Task>();
  entry->name = std::move(name);
  const auto position = impl_->tasks.insert(impl_->tasks.end(), entry);
  auto done = [impl = impl_, position, entry](const std::exception_ptr& error) { impl->ended(position, error); };
  asio::co_spawn(impl_->executor, std::move(task), asio::bind_cancellation_slot(entry->signal.slot(), std::move(done)));
}

void TaskGroup::cancel() {
  impl_->cancelled = true;
  const auto tasks = impl_->tasks;  // an emission may end a task, which takes it off the list
  for (const auto& task : tasks) task->signal.emit(asio::cancellation_type::terminal);
}

asio::awaitable<bool> TaskGroup::join(std::chrono::milliseconds deadline) {
  const auto impl = impl_;
  asio::steady_timer timer(impl->executor, deadline);
  const auto end = timer.expiry();
  while (!impl->tasks.empty() && asio::steady_timer::clock_type::now() < end) {
    impl->joining = &timer;
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    impl->joining = nullptr;
  }
  for (const auto& task : impl->tasks) log::warn("a task did not end in time", {{"task", task->name}});
  co_return impl->tasks.empty();
}

void TaskGroup::abandon() noexcept { impl_->abandoned = true; }

std::size_t TaskGroup::size() const noexcept { return impl_->tasks.size(); }

}  // namespace higgs::runtime
