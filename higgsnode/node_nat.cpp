// NodeService: what the NAT before it does, found in the background and told to the server.
#include "higgsnode/nat_diagnosis.h"
#include "higgsnode/node_service.h"

namespace higgs::node {

void NodeService::open_nat() {
  net::NatTypeMonitorOptions options;
  options.memory = nat_memory(state_.path());
  options.without = [this] { return std::vector<std::string>{wireguard_->name()}; };
  nat_ = std::make_unique<net::NatTypeMonitor>(context_.get_executor(), std::move(options), random_);
  follow_port_step();
}

void NodeService::ask_about_nat(const std::vector<api::HostPort>& stun_servers) {
  if (!stun_servers.empty())
    nat_->set_server({stun_servers.front().host, stun_servers.front().port});
  else if (auto beside = net::StunServerName::beside(settings_.server))
    nat_->set_server(std::move(*beside));
}

void NodeService::nat_changed() {
  follow_port_step();
  // Registration did not wait for this.
  if (connection_.status().registered) connection_.register_again();
}

void NodeService::follow_port_step() {
  const auto& report = nat_->report();
  const bool sequential = report && report->allocation == stun::PortAllocation::kSequential;
  traversal_->set_port_step(sequential ? std::optional(report->port_step) : std::nullopt);
}

}  // namespace higgs::node
