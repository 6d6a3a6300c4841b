// NodeService: what operators of the server ask of it, and what they are told.
#include <nlohmann/json.hpp>
#include <sys/statvfs.h>

#include "higgsnode/node_service.h"
#include "higgsnode/registration.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace higgs::node {
namespace {

namespace log = runtime::log;

double disk_usage(const std::filesystem::path& path) {
  struct statvfs disk {};
  if (::statvfs(path.c_str(), &disk) != 0 || disk.f_blocks == 0) return 0;
  return 100.0 * static_cast<double>(disk.f_blocks - disk.f_bfree) / static_cast<double>(disk.f_blocks);
}

double load_average() {
  double load = 0;
  return ::getloadavg(&load, 1) == 1 ? load : 0;
}

}  // namespace

OperatorActions::Hooks NodeService::action_hooks() {
  return {.changed = [this](const api::NodeConfig& before) { apply_changes(before); },
          .maintenance =
              [this] {
                sessions_->set_maintenance(operators_.standing().maintenance);
                connection_.hurry();
              },
          .restart = [this] { end_.notify(); }};
}

api::ActionResult NodeService::on_action(const api::NodeAction& action) { return operators_.execute(action); }

void NodeService::apply_changes(const api::NodeConfig& before) {
  settings_ = operators_.settings();
  log::set_level(settings_.log_level);
  sessions_->set_most_sessions(settings_.max_connections);
  reporter_.set_interval(settings_.metrics_interval);
  connection_.set_heartbeat_interval(settings_.heartbeat_interval);
  // A link that stands is left for another only now, not whenever the node registers.
  const auto servers = [](const api::NodeConfig& config) {
    api::NodeConfig only;
    only.relay_servers = config.relay_servers;
    return api::encode(only);
  };
  move_relay_ = servers(before) != servers(operators_.standing().config);
  // The server has to know of limits and intervals, and its answer leads to relay and STUN.
  connection_.register_again();
}

api::MetricsReport NodeService::make_metrics_report() {
  api::MetricsReport report;
  report.node_id = identity_.node_id();
  report.timestamp = unix_seconds(runtime::now().wall);
  report.latency = last_metrics_.latency;
  report.jitter = last_metrics_.jitter;
  report.packet_loss = last_metrics_.packet_loss;
  report.bandwidth = last_metrics_.bandwidth;
  report.cpu_usage = last_metrics_.cpu_usage;
  report.memory_usage = last_metrics_.memory_usage;
  report.disk_usage = disk_usage(state_.path());
  report.load_average = load_average();
  if (const auto interface = wireguard_->driver().status()) {
    const auto& counters = interface->counters;
    report.packets = {counters.sent_packets, counters.received_packets,
                      counters.malformed + counters.bad_tag + counters.replayed + counters.wrong_source};
  }
  const auto bytes = traffic();
  report.bytes_sent = bytes.sent_bytes;
  report.bytes_received = bytes.received_bytes;
  const auto& counters = sessions_->counters();
  report.connections_active = static_cast<std::uint32_t>(sessions_->size());
  report.connections_total = counters.opened;
  report.connections_failed = counters.refused;
  return report;
}

nlohmann::json NodeService::operator_status() const {
  const auto& standing = operators_.standing();
  return {{"maintenance", standing.maintenance},
          {"config", nlohmann::json::parse(api::encode(standing.config))},
          {"actions", operators_.executed()},
          {"file", operators_.file().string()}};
}

}  // namespace higgs::node
