// connect: everything around a Connection that makes it a program: lock, log, signals, control socket.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <signal.h>
#include <unistd.h>

#include "higgsvpn/cli/commands.h"
#include "higgsvpn/cli/output.h"
#include "higgsvpn/cli/privileges.h"
#include "higgsvpn/cli/progress.h"
#include "higgsvpn/connection.h"
#include "higgsvpn/control_channel.h"
#include "higgsvpn/network_lock.h"
#include "runtime/control_socket.h"
#include "runtime/files.h"
#include "runtime/log.h"
#include "runtime/process.h"
#include "runtime/service_notify.h"
#include "runtime/signals.h"
#include "runtime/task_group.h"

namespace higgs::vpn {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

ConnectOptions options_of(const Settings& settings) {
  ConnectOptions options;
  if (settings.node) options.node = parse_id<NodeId>(*settings.node);
  options.requirements.preferred_country = settings.country;
  options.requirements.preferred_location = settings.region;
  options.requirements.min_bandwidth = settings.min_bandwidth;
  options.requirements.max_latency = settings.max_latency;
  options.dns = settings.dns;
  options.kill_switch = settings.kill_switch;
  options.allow_lan = settings.allow_lan;
  options.path = settings.path;
  options.tracing = settings.tracing;
  return options;
}

/// One process's `connect`: the connection, and what may end it or ask about it.
class ConnectProcess {
 public:
  ConnectProcess(const StateDirectory& state, Account account, LocalNetwork& network, const Settings& settings,
                 Progress& progress)
      : state_(state),
        connection_(context_.get_executor(), state, std::move(account), network, options_of(settings), progress),
        signals_(context_.get_executor()),
        tasks_(context_.get_executor()) {}

  Outcome<void> run() {
    auto handler = [this](std::string request) { return answer(std::move(request)); };
    auto control = runtime::ControlServer::listen(context_.get_executor(), state_.control_socket(), handler);
    if (!control) return Failure::of(control.error(), "cannot listen on " + state_.control_socket().string());
    control_ = std::move(*control);
    tasks_.spawn("signals", watch_signals());
    Outcome<void> result;
    std::exception_ptr failure;
    auto done = [&](const std::exception_ptr& error, Outcome<void> value) {
      failure = error;
      result = std::move(value);
      context_.stop();
    };
    asio::co_spawn(context_, run_all(), done);
    context_.run();
    tasks_.abandon();
    if (failure) std::rethrow_exception(failure);
    return result;
  }

 private:
  asio::awaitable<Outcome<void>> run_all() {
    auto result = co_await connection_.run();
    co_await control_->stop();
    tasks_.cancel();
    co_await tasks_.join(1s);
    co_return result;
  }

  asio::awaitable<void> watch_signals() {
    for (;;) {
      const int signal = co_await signals_.next();
      if (signal == SIGHUP && ::isatty(STDIN_FILENO) == 0) continue;  // no terminal that could have closed
      runtime::notify_stopping();
      connection_.stop();
    }
  }

  asio::awaitable<std::string> answer(std::string request) {
    if (request == kStatusRequest) co_return encode_report(connection_.report());
    if (request == kDisconnectRequest) {
      connection_.stop();
      co_return "{\"ok\":true}";
    }
    co_return "{\"error\":\"unknown request\"}";
  }

  asio::io_context context_{1};
  const StateDirectory& state_;
  Connection connection_;
  runtime::Signals signals_;
  runtime::TaskGroup tasks_;
  std::unique_ptr<runtime::ControlServer> control_;
};

Outcome<void> run_connect(const StateDirectory& state, const Settings& settings, Progress& progress) {
  auto lock = state.take_connect_lock();
  if (!lock) {
    if (lock.error() == runtime::make_error_code(runtime::FileError::kInUse)) {
      return Failure{ExitCode::kFailure,
                     "a connect of this state directory runs already",
                     "see: higgsvpn status; end it: higgsvpn disconnect",
                     false,
                     {}};
    }
    return Failure::of(lock.error(), "cannot lock " + state.connect_lock().string());
  }
  // Read under the lock: tokens may have been rotated since the command started.
  auto account = load_account(state);
  if (!account)
    return Failure::of(account.error(), "cannot read " + state.account().string(), "log in again: higgsvpn login");
  if (!*account) {
    return Failure{ExitCode::kNotLoggedIn, "not logged in", "log in: higgsvpn login --server … --user …", false, {}};
  }
  const auto network_lock = NetworkLock::take();
  if (!network_lock) return network_lock.error();
  auto network = LocalNetwork::open(state);
  if (!network) return network.error();
  ConnectProcess process(state, std::move(**account), *network, settings, progress);
  return process.run();
}

int connect_here(const StateDirectory& state, const Settings& settings, bool json, DetachedParent parent) {
  runtime::log::configure({.level = settings.log_level, .format = runtime::log::Format::kText, .program = "higgsvpn"});
  runtime::protect_process_memory();
  Progress progress(json, std::move(parent));
  return progress.finish(run_connect(state, settings, progress));
}

}  // namespace

int connect(const Settings& settings, bool detach, bool json) {
  const StateDirectory state(settings.state_dir);
  if (!can_administer_network()) {
    return fail({ExitCode::kNotPermitted,
                 "connect changes interfaces, routes and firewall, which this user may not",
                 "run it as root: sudo higgsvpn connect",
                 false,
                 {}},
                json);
  }
  if (const auto prepared = state.prepare(); !prepared) {
    return fail(Failure::of(prepared.error(), "cannot use the state directory " + state.path().string()), json);
  }
  if (!detach) return connect_here(state, settings, json, {});
  return run_detached(state.log(),
                      [&](DetachedParent parent) { return connect_here(state, settings, json, std::move(parent)); });
}

}  // namespace higgs::vpn
