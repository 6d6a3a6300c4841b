// The server between its first and its last signal.
#include "bosonserver/cli/run_server.h"

#include <csignal>
#include <iostream>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "bosonserver/server/boson_server.h"
#include "runtime/log.h"
#include "runtime/process.h"
#include "runtime/service_notify.h"
#include "runtime/signals.h"

namespace higgs::boson {
namespace asio = boost::asio;

namespace {

void reload(BosonServer& server) {
  try {
    server.reload();
  } catch (const std::runtime_error& error) {
    runtime::log::error("nothing was read again, what was there stays in use", {{"reason", error.what()}});
  }
}

asio::awaitable<void> serve_until_end(BosonServer& server, runtime::Signals& signals) {
  for (;;) {
    const int signal = co_await signals.next();
    if (signal == SIGTERM || signal == SIGINT) co_return;
    if (signal == SIGHUP) reload(server);
  }
}

}  // namespace

int run_server(const ServerSettings& settings) {
  runtime::log::configure({settings.log_level, settings.log_format, "bosonserver"});
  runtime::protect_process_memory();
  runtime::raise_file_limit();
  runtime::return_large_blocks();
  // Before any thread is started: all of them inherit what the signals do.
  asio::io_context context;
  runtime::Signals signals(context.get_executor());

  BosonServer server(settings);
  server.start();
  std::cout << "bosonserver serves https://" << server.api_endpoint().to_string() << ", stun://"
            << server.stun_endpoint().to_string() << ", metrics at http://" << server.metrics_endpoint().to_string()
            << "/metrics\n"
            << "pin " << server.pin() << std::endl;
  if (!settings.public_url)
    runtime::log::info("public_url is not set: nodes are accepted under this machine's own addresses only");
  runtime::notify_ready("serving");

  std::exception_ptr failure;
  auto waiting = serve_until_end(server, signals);
  asio::co_spawn(context, std::move(waiting), [&](const std::exception_ptr& error) { failure = error; });
  context.run();
  runtime::notify_stopping();
  server.stop();
  if (failure) std::rethrow_exception(failure);
  return 0;
}

}  // namespace higgs::boson
