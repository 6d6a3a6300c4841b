#include "runtime/control_socket.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/deadline.h"
#include "runtime/log.h"
#include "runtime/task_group.h"

namespace higgs::runtime {
namespace {

namespace asio = boost::asio;
using Protocol = asio::local::stream_protocol;

/// A socket address has room for 107 characters, a state directory may have more: unix(7) addresses are therefore
/// spelled through a descriptor of the directory.
class ShortPath {
 public:
  explicit ShortPath(const std::filesystem::path& path)
      : directory_(::open(path.has_parent_path() ? path.parent_path().c_str() : ".", O_PATH | O_DIRECTORY | O_CLOEXEC)),
        text_("/proc/self/fd/" + std::to_string(directory_) + "/" + path.filename().string()) {}
  ShortPath(const ShortPath&) = delete;
  ShortPath& operator=(const ShortPath&) = delete;
  ~ShortPath() {
    if (directory_ >= 0) ::close(directory_);
  }
  bool valid() const noexcept { return directory_ >= 0; }
  const std::string& text() const noexcept { return text_; }

 private:
  int directory_;
  std::string text_;
};

asio::awaitable<std::string> read_line(Protocol::socket& socket, std::size_t most) {
  std::string line;
  const auto end = co_await asio::async_read_until(socket, asio::dynamic_buffer(line, most), '\n', asio::use_awaitable);
  line.resize(end - 1);
  co_return line;
}

asio::awaitable<void> write_line(Protocol::socket& socket, std::string line) {
  line += '\n';
  co_await asio::async_write(socket, asio::buffer(line), asio::use_awaitable);
}

asio::awaitable<void> answer(Protocol::socket& socket, const ControlServer::Handler& handler, ControlLimits limits) {
  auto request = co_await read_line(socket, limits.line_bytes);
  auto text = co_await handler(std::move(request));
  co_await write_line(socket, std::move(text));
}

asio::awaitable<std::string> ask(Protocol::endpoint where, std::string request) {
  Protocol::socket socket(co_await asio::this_coro::executor);
  co_await socket.async_connect(where, asio::use_awaitable);
  co_await write_line(socket, std::move(request));
  auto line = co_await read_line(socket, 16 * 1024 * 1024);
  co_return line;
}

asio::awaitable<std::string> ask_in_time(Protocol::endpoint where, std::string request,
                                         std::chrono::milliseconds deadline) {
  auto asking = ask(std::move(where), std::move(request));
  auto line = co_await with_deadline(std::move(asking), deadline);
  if (!line) throw boost::system::system_error(asio::error::timed_out);
  co_return std::move(*line);
}

}  // namespace

class ControlServer::Impl {
 public:
  Impl(const asio::any_io_executor& executor, std::filesystem::path p, Handler h, ControlLimits l)
      : path(std::move(p)), handler(std::move(h)), limits(l), acceptor(executor), tasks(executor) {}
  ~Impl() {
    tasks.abandon();
    if (acceptor.is_open()) ::unlink(path.c_str());
  }

  asio::awaitable<void> accept_all() {
    for (;;) {
      auto socket = co_await acceptor.async_accept(asio::use_awaitable);
      if (tasks.size() > limits.connections) continue;
      tasks.spawn("control connection", serve(std::move(socket)));
    }
  }

  asio::awaitable<void> serve(Protocol::socket socket) {
    try {
      auto answering = answer(socket, handler, limits);
      auto timed = with_deadline(std::move(answering), limits.deadline);
      const bool in_time = co_await std::move(timed);
      if (!in_time) log::debug("a control request took too long");
    } catch (const boost::system::system_error& error) {
      log::debug("a control connection ended", {{"error", error.code().message()}});
    }
  }

  std::filesystem::path path;
  Handler handler;
  ControlLimits limits;
  Protocol::acceptor acceptor;
  TaskGroup tasks;
};

Result<std::unique_ptr<ControlServer>> ControlServer::listen(const asio::any_io_executor& executor,
                                                             const std::filesystem::path& path, Handler handler,
                                                             ControlLimits limits) {
  auto impl = std::make_unique<Impl>(executor, path, std::move(handler), limits);
  const ShortPath address(path);
  if (!address.valid()) return errno_code();
  ::unlink(path.c_str());
  ErrorCode error;
  impl->acceptor.open(Protocol(), error);
  if (!error) impl->acceptor.bind(Protocol::endpoint(address.text()), error);
  if (!error && ::chmod(path.c_str(), 0600) != 0) error = errno_code();
  if (!error) impl->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return error;
  impl->tasks.spawn("control socket", impl->accept_all());
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlServer::~ControlServer() = default;

asio::awaitable<void> ControlServer::stop() {
  impl_->tasks.cancel();
  co_await impl_->tasks.join(std::chrono::seconds(1));
}

Result<std::string> control_request(const std::filesystem::path& path, const std::string& request,
                                    std::chrono::milliseconds deadline) {
  const ShortPath address(path);
  if (!address.valid()) return errno_code();
  asio::io_context context;
  Result<std::string> result = ErrorCode();
  auto done = [&result](const std::exception_ptr& error, std::string line) {
    if (!error) {
      result = std::move(line);
      return;
    }
    try {
      std::rethrow_exception(error);
    } catch (const boost::system::system_error& failure) {
      result = failure.code();
    }
  };
  asio::co_spawn(context, ask_in_time(Protocol::endpoint(address.text()), request, deadline), done);
  context.run();
  return result;
}

}  // namespace higgs::runtime
