#include "node_load/options.h"

#include <CLI/CLI.hpp>

namespace higgs::node_load {
namespace {

constexpr int kUsage = 2;

}  // namespace

std::optional<Options> parse_options(int argc, char** argv, int& status) {
  Options options;
  std::string at;
  std::vector<std::string> sources;
  unsigned interval = 30, warm_up = 35, measured = 60;
  CLI::App app("Registers nodes at a bosonserver and sends their heartbeats, evenly, over kept connections.");
  app.add_option("--server", options.server, "public URL of the server")->required();
  app.add_option("--at", at, "ADDRESS:PORT where it is reached")->required();
  app.add_option("--pin", options.pin, "of its certificate, as `bosonserver pin` prints it")->required();
  app.add_option("--source", sources, "own address to connect from; several are used in turn");
  app.add_option("--nodes", options.nodes)->check(CLI::Range(1u, 100'000u))->capture_default_str();
  app.add_option("--connections", options.connections)->check(CLI::Range(1u, 19'000u))->capture_default_str();
  app.add_option("--parallel", options.parallel, "connections that register nodes, and handshakes at a time")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  app.add_option("--interval", interval, "seconds between the heartbeats of a node")
      ->check(CLI::Range(1u, 300u))
      ->capture_default_str();
  app.add_option("--warm-up", warm_up, "seconds of heartbeats that are not measured")->capture_default_str();
  app.add_option("--seconds", measured, "that are measured at a time")
      ->check(CLI::Range(1u, 86'400u))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "how often that is done")->check(CLI::Range(1u, 100u));
  app.add_option("--routes", options.routes_per_second,
                 "requests for a route a second, in a period of their own; each session is ended again")
      ->check(CLI::Range(0.0, 1000.0));
  app.add_option("--user", options.user, "who asks for routes");
  app.add_option("--password-file", options.password_file);
  try {
    app.parse(argc, argv);
    const auto endpoint = Endpoint::parse(at);
    if (!endpoint) throw CLI::ValidationError("--at", "is not ADDRESS:PORT");
    options.at = *endpoint;
    for (const auto& source : sources) {
      const auto address = IpAddress::parse(source);
      if (!address) throw CLI::ValidationError("--source", "is not an address");
      options.sources.push_back(*address);
    }
    if (options.connections > options.nodes) throw CLI::ValidationError("--connections", "are more than --nodes");
    if (options.routes_per_second > 0 && (options.user.empty() || options.password_file.empty()))
      throw CLI::ValidationError("--routes", "needs --user and --password-file");
  } catch (const CLI::ParseError& error) {
    status = app.exit(error) == 0 ? 0 : kUsage;
    return std::nullopt;
  }
  options.interval = std::chrono::seconds(interval);
  options.warm_up = std::chrono::seconds(warm_up);
  options.measured = std::chrono::seconds(measured);
  return options;
}

}  // namespace higgs::node_load
