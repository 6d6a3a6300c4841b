#include "higgsnode/port_mapping_diagnosis.h"

#include <algorithm>
#include <csignal>
#include <ctime>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "net/udp_socket.h"
#include "runtime/clock.h"

namespace higgs::node {
namespace {

using namespace std::chrono_literals;

// Constants of our choosing.
constexpr std::size_t kProtocols = 3;
constexpr std::chrono::seconds kMostPatience{12};
constexpr std::chrono::milliseconds kLook{50};

/// Waits a moment; true: a signal asks for the end.
bool interrupted(const sigset_t& signals) {
  const timespec pause{0, std::chrono::nanoseconds(kLook).count()};
  return ::sigtimedwait(&signals, nullptr, &pause) > 0;
}

bool settled(const net::PortMapperStatus& status) {
  return status.gateway ? status.mappings.size() + status.failures.size() >= kProtocols : !status.failures.empty();
}

void print(const net::PortMapperStatus& status, bool json) {
  std::cout << (json ? port_mapping_json(status).dump() + "\n" : port_mapping_text(status)) << std::flush;
}

}  // namespace

nlohmann::json port_mapping_json(const net::PortMapperStatus& status) {
  auto mappings = nlohmann::json::array();
  for (const auto& mapping : status.mappings) {
    mappings.push_back({{"protocol", std::string(to_string(mapping.protocol))},
                        {"external", mapping.external.to_string()},
                        {"lifetimeSeconds", mapping.lifetime.count()},
                        {"doubleNat", mapping.double_nat}});
  }
  return {{"gateway", status.gateway ? nlohmann::json(status.gateway->to_string()) : nlohmann::json(nullptr)},
          {"mappings", mappings},
          {"doubleNat", status.double_nat},
          {"failures", status.failures}};
}

std::string port_mapping_text(const net::PortMapperStatus& status) {
  std::string text = fmt::format("router    {}\n", status.gateway ? status.gateway->to_string() : "none");
  for (const auto& mapping : status.mappings) {
    text += fmt::format("{:<10}{}{}\n", to_string(mapping.protocol), mapping.external.to_string(),
                        mapping.double_nat ? ": not reached from the internet, the router is itself behind a NAT "
                                             "(ask the provider for a public address)"
                                           : "");
  }
  for (const auto& failure : status.failures) {
    const auto colon = std::min(failure.find(": "), failure.size());
    text += colon < failure.size() ? fmt::format("{:<10}{}\n", failure.substr(0, colon), failure.substr(colon + 2))
                                   : failure + "\n";
  }
  return text;
}

int diagnose_port_mapping(const PortMappingDiagnosis& request) {
  // Taken by this thread alone, so that what was mapped is given back however this ends.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  net::UdpSocket::Options options;
  options.port = request.port;
  const auto socket = net::UdpSocket::open(options);
  if (!socket) {
    std::cerr << "higgsnode: the port cannot be used: " << socket.error().message() << "\n";
    return 1;
  }
  net::PortMapper::Options mapping;
  mapping.port = socket->port();
  mapping.description = "higgsnode diagnose";
  net::PortMapper mapper(std::move(mapping), {});
  const auto started = runtime::now().monotonic;
  net::PortMapperStatus status;
  for (bool stop = false; !stop && !settled(status) && runtime::now().monotonic - started < kMostPatience;) {
    stop = interrupted(signals);
    status = mapper.status();
  }
  print(status, request.json);
  const auto until = runtime::now().monotonic + request.hold;
  while (runtime::now().monotonic < until && !interrupted(signals)) {
    auto next = mapper.status();
    if (next == status) continue;
    status = std::move(next);
    print(status, request.json);
  }
  const bool reached =
      std::any_of(status.mappings.begin(), status.mappings.end(), [](const auto& each) { return !each.double_nat; });
  return reached ? 0 : 1;
}

}  // namespace higgs::node
