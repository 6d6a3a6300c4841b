#include "net/nat_diagnosis.h"

#include <iostream>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include "net/nat_discovery.h"
#include "net/nat_report.h"
#include "net/tcp_connect.h"

namespace higgs::net {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kDiagnosisResolveDeadline = 5s;

asio::awaitable<Result<stun::BehaviourReport>> ask(const NatDiagnosis& request, Endpoint& asked) {
  SystemRandom random;
  std::vector<IpAddress> addresses;
  if (const auto literal = IpAddress::parse(request.server.host)) {
    addresses.push_back(*literal);
  } else {
    const auto executor = co_await asio::this_coro::executor;
    ConnectCancel never;
    auto resolving = resolve_host(executor, request.server.host, kDiagnosisResolveDeadline, never);
    auto resolved = co_await std::move(resolving);
    if (!resolved) co_return resolved.error();
    addresses = std::move(*resolved);
  }
  if (addresses.empty()) co_return ErrorCode(asio::error::host_not_found);
  asked = {addresses.front(), request.server.port};
  // NAT is IPv4's affair.
  for (const IpAddress& address : addresses)
    if (address.is_v4()) {
      asked.address = address;
      break;
    }
  auto discovering = discover_nat({asked, request.mark}, random);
  co_return co_await std::move(discovering);
}

}  // namespace

int diagnose_nat(const NatDiagnosis& request) {
  asio::io_context context(1);
  std::optional<Result<stun::BehaviourReport>> result;
  std::exception_ptr failure;
  Endpoint asked;
  auto done = [&](std::exception_ptr error, const Result<stun::BehaviourReport>& found) {
    failure = std::move(error);
    result.emplace(found);
  };
  asio::co_spawn(context, ask(request, asked), done);
  context.run();
  if (failure) std::rethrow_exception(failure);
  const auto& found = *result;
  const std::string server = request.server.host + ":" + std::to_string(request.server.port);
  if (!found) {
    const std::string why = "cannot ask " + server + ": " + found.error().message();
    if (request.json)
      std::cout << nlohmann::json{{"error", why}}.dump() << "\n";
    else
      std::cerr << request.program << ": " << why << "\n";
    return 1;
  }
  if (request.json) {
    auto json = nat_report_json(*found);
    json["stunServer"] = asked.to_string();
    std::cout << json.dump() << "\n";
  } else {
    std::cout << nat_report_text(*found) << "asked:              " << asked.to_string() << "\n";
  }
  const bool known = found->nat != stun::NatClass::kUnknown && found->nat != stun::NatClass::kUdpBlocked;
  return known ? 0 : 1;
}

}  // namespace higgs::net
