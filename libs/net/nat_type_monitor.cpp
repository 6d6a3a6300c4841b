#include "net/nat_type_monitor.h"

#include <algorithm>

#include <boost/asio/this_coro.hpp>
#include <nlohmann/json.hpp>

#include "base/number.h"
#include "net/http_target.h"
#include "net/nat_discovery.h"
#include "net/nat_report.h"
#include "net/tcp_connect.h"
#include "runtime/clock.h"
#include "runtime/deadline.h"
#include "runtime/files.h"
#include "runtime/log.h"

namespace higgs::net {

namespace asio = boost::asio;
namespace log = runtime::log;
using namespace std::chrono_literals;

namespace {

/// A NAT may be replaced or reconfigured without this host's seeing anything.
constexpr auto kInterval = 15min;
constexpr auto kRetryInterval = 60s;
/// Addresses come one after another when a network is joined.
constexpr auto kSettleTime = 500ms;
constexpr auto kResolveDeadline = 5s;
constexpr std::int64_t kMemorySeconds = 24 * 3600;

bool same(const stun::BehaviourReport& a, const std::optional<stun::BehaviourReport>& b) {
  const auto address = [](const stun::BehaviourReport& report) {
    return report.mapped ? std::optional(report.mapped->address) : std::nullopt;
  };
  return b && a.nat == b->nat && a.allocation == b->allocation && address(a) == address(*b);
}

/// A server that was silent, or half of it, may be there in a minute.
bool conclusive(const stun::BehaviourReport& report) {
  if (report.nat == stun::NatClass::kUdpBlocked) return false;
  return report.nat != stun::NatClass::kUnknown || !report.server_complete;
}

nlohmann::json read_memory(const std::filesystem::path& path) {
  const auto text = runtime::read_file_if_there(path);
  if (!text || !*text) return nullptr;
  return nlohmann::json::parse(**text, nullptr, false);
}

}  // namespace

std::optional<StunServerName> StunServerName::parse(const std::string& text) {
  StunServerName result;
  if (const auto endpoint = Endpoint::parse(text)) return StunServerName{endpoint->address.to_string(), endpoint->port};
  if (const auto address = IpAddress::parse(text)) return StunServerName{address->to_string(), kDefaultPort};
  const auto colon = text.find(':');
  result.host = text.substr(0, colon);
  if (colon != std::string::npos) {
    result.port = parse_number<std::uint16_t>(std::string_view(text).substr(colon + 1)).value_or(0);
    if (result.port == 0) return std::nullopt;
  }
  const auto part_of_a_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  if (result.host.empty() || !std::ranges::all_of(result.host, part_of_a_name)) return std::nullopt;
  return result;
}

std::optional<StunServerName> StunServerName::beside(const std::string& server_url) {
  const auto url = parse_url(server_url);
  if (!url) return std::nullopt;
  return StunServerName{url->host, kDefaultPort};
}

NatTypeMonitor::NatTypeMonitor(const asio::any_io_executor& executor, NatTypeMonitorOptions options,
                               RandomSource& random)
    : executor_(executor), options_(std::move(options)), random_(random), wake_(executor) {
  recall();
}

void NatTypeMonitor::set_server(StunServerName server) {
  if (server_ == server) return;
  server_ = std::move(server);
  ++wanted_;
  wake_.notify();
}

void NatTypeMonitor::network_changed() {
  report_.reset();
  ++wanted_;
  wake_.notify();
}

asio::awaitable<void> NatTypeMonitor::run(std::function<void()> changed) {
  std::uint64_t asked = 0;
  Instant next{};
  for (;;) {
    const Instant now = runtime::now().monotonic;
    if (!server_) {
      co_await wake_.wait();
      continue;
    }
    if (asked == wanted_ && now < next) {
      co_await wake_.wait_for(next - now);
      continue;
    }
    if (asked != 0 && asked != wanted_) {
      auto settling = runtime::sleep_for(kSettleTime);
      co_await std::move(settling);
    }
    asked = wanted_;
    auto discovering = discover();
    const auto found = co_await std::move(discovering);
    next =
        runtime::now().monotonic + (found && conclusive(*found) ? std::chrono::nanoseconds(kInterval) : kRetryInterval);
    if (!found || asked != wanted_) continue;  // of a network that we have left
    const bool news = !same(*found, report_);
    report_ = *found;
    remember();
    if (!news) continue;
    log::info("NAT", {{"type", std::string(to_string(found->nat))}});
    if (changed) changed();
  }
}

asio::awaitable<std::optional<stun::BehaviourReport>> NatTypeMonitor::discover() {
  auto resolving = resolve();
  const auto endpoint = co_await std::move(resolving);
  if (!endpoint) co_return std::nullopt;
  auto discovering = discover_nat({*endpoint, options_.mark}, random_);
  const auto found = co_await std::move(discovering);
  if (found) co_return *found;
  log::debug("what the NAT does cannot be found out", {{"reason", found.error().message()}});
  co_return std::nullopt;
}

asio::awaitable<std::optional<Endpoint>> NatTypeMonitor::resolve() {
  const auto server = *server_;
  if (const auto address = IpAddress::parse(server.host)) co_return Endpoint{*address, server.port};
  std::vector<IpAddress> found;
  if (options_.known_addresses) found = options_.known_addresses(server.host);
  if (found.empty()) {
    ConnectCancel never;
    auto resolving = resolve_host(executor_, server.host, kResolveDeadline, never);
    auto resolved = co_await std::move(resolving);
    if (!resolved) co_return std::nullopt;
    found = std::move(*resolved);
  }
  // NAT is IPv4's affair.
  const auto v4 = std::ranges::find_if(found, [](const IpAddress& address) { return address.is_v4(); });
  if (v4 != found.end()) co_return Endpoint{*v4, server.port};
  if (found.empty()) co_return std::nullopt;
  co_return Endpoint{found.front(), server.port};
}

std::vector<std::string> NatTypeMonitor::addresses() const {
  std::vector<std::string> result;
  // Those of IPv6 change by themselves (RFC 8981).
  for (const auto& local : local_addresses(options_.without ? options_.without() : std::vector<std::string>()))
    if (local.address.is_v4()) result.push_back(local.address.to_string());
  std::ranges::sort(result);
  return result;
}

void NatTypeMonitor::recall() {
  if (!options_.memory) return;
  const auto json = read_memory(*options_.memory);
  if (!json.is_object() || json.value("addresses", nlohmann::json()) != addresses()) return;
  const auto at = json.find("at");
  if (at == json.end() || !at->is_number_integer()) return;
  const auto age = unix_seconds(runtime::now().wall) - at->get<std::int64_t>();
  if (age < 0 || age > kMemorySeconds) return;
  report_ = parse_nat_report(json);
}

void NatTypeMonitor::remember() const {
  if (!options_.memory || !report_ || !server_) return;
  auto json = nat_report_json(*report_);
  json["stunServer"] = {{"host", server_->host}, {"port", server_->port}};
  json["addresses"] = addresses();
  json["at"] = unix_seconds(runtime::now().wall);
  if (const auto written = runtime::write_file_atomic(*options_.memory, json.dump()); !written)
    log::debug("what was found of the NAT could not be kept", {{"reason", written.error().message()}});
}

std::string NatTypeMonitor::json() const {
  if (!report_) return "null";
  auto json = nat_report_json(*report_);
  if (server_) json["stunServer"] = {{"host", server_->host}, {"port", server_->port}};
  return json.dump();
}

std::optional<StunServerName> remembered_stun_server(const std::filesystem::path& memory) {
  const auto json = read_memory(memory);
  if (!json.is_object()) return std::nullopt;
  const auto server = json.find("stunServer");
  if (server == json.end() || !server->is_object()) return std::nullopt;
  const auto host = server->find("host"), port = server->find("port");
  if (host == server->end() || !host->is_string() || port == server->end() || !port->is_number_unsigned())
    return std::nullopt;
  const auto number = port->get<std::uint64_t>();
  if (number == 0 || number > 0xFFFF) return std::nullopt;
  return StunServerName{host->get<std::string>(), static_cast<std::uint16_t>(number)};
}

}  // namespace higgs::net
