// status, stats and disconnect: about a connect that runs, or ran until it was killed.
#include <cstdio>
#include <filesystem>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "higgsvpn/cli/commands.h"
#include "higgsvpn/cli/output.h"
#include "higgsvpn/control_channel.h"
#include "higgsvpn/local_network.h"
#include "higgsvpn/marks.h"
#include "higgsvpn/network_lock.h"
#include "runtime/clock.h"
#include "runtime/deadline.h"
#include "runtime/files.h"

namespace higgs::vpn {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr auto kEndDeadline = 2s;

bool left_something(const StateDirectory& state) {
  std::error_code error;
  return std::filesystem::exists(state.journal(), error);
}

int nothing_runs(const StateDirectory& state, bool json) {
  const bool leftovers = left_something(state);
  if (json) {
    std::printf("{\"state\":\"disconnected\",\"leftovers\":%s}\n", leftovers ? "true" : "false");
  } else {
    std::puts("not connected");
    if (leftovers) {
      std::puts(
          "  an earlier connect was killed; its kill switch may still block traffic\n"
          "  → higgsvpn connect to go on, higgsvpn disconnect to clean up");
    }
  }
  return 0;
}

asio::awaitable<void> end_all(ApiClient& client, const std::vector<SessionId>& sessions) {
  for (const SessionId& id : sessions) co_await client.end_session(id);
}

/// Best effort: a session that cannot be ended expires by itself.
void end_sessions(const StateDirectory& state) {
  const auto sessions = state.sessions();
  const auto account = load_account(state);
  if (!sessions.empty() && account && *account) {
    asio::io_context context(1);
    ApiClient client(context.get_executor(), state, **account, kFirewallMark);
    auto ending = [&]() -> asio::awaitable<void> {
      auto all = end_all(client, sessions);
      co_await runtime::with_deadline(std::move(all), kEndDeadline);
      client.close();
    };
    asio::co_spawn(context, ending, [](const std::exception_ptr&) {});
    context.run();
  }
  (void)state.remember_sessions({});
}

Outcome<bool> clean_up(const StateDirectory& state) {
  if (!left_something(state)) return false;
  const auto lock = state.take_connect_lock();
  if (!lock) return Failure::of(lock.error(), "cannot lock " + state.connect_lock().string());
  // What a crash has left here may be what another connect has taken over.
  const auto network_lock = NetworkLock::take();
  if (!network_lock) return network_lock.error();
  auto network = LocalNetwork::open(state);
  if (!network) return network.error();
  // While the kill switch still stands, our marked sockets are the only ones that get out.
  end_sessions(state);
  const auto restored = network->restore();
  if (!restored) return restored.error();
  return true;
}

}  // namespace

int show_status(const Settings& settings, bool json) {
  const StateDirectory state(settings.state_dir);
  const auto report = ask_report(state);
  if (!report) return fail(report.error(), json);
  if (!*report) return nothing_runs(state, json);
  const std::string text = json ? encode_report(**report) + "\n" : status_text(**report, runtime::now().wall);
  std::fputs(text.c_str(), stdout);
  return 0;
}

int show_stats(const Settings& settings, bool json) {
  const StateDirectory state(settings.state_dir);
  const auto report = ask_report(state);
  if (!report) return fail(report.error(), json);
  if (!*report) return nothing_runs(state, json);
  const std::string text = json ? encode_report(**report) + "\n" : stats_text(**report);
  std::fputs(text.c_str(), stdout);
  return 0;
}

int disconnect(const Settings& settings, bool json) {
  const StateDirectory state(settings.state_dir);
  const auto told = ask_disconnect(state);
  if (!told) return fail(told.error(), json);
  const auto cleaned = clean_up(state);
  if (!cleaned) return fail(cleaned.error(), json);
  if (json) {
    std::puts("{\"ok\":true}");
  } else {
    std::puts(*told ? "disconnected" : *cleaned ? "cleaned up after an earlier connect" : "not connected");
  }
  return 0;
}

}  // namespace higgs::vpn
