#include "higgsvpn/local_network.h"

#include <algorithm>

#include "higgsvpn/marks.h"

namespace higgs::vpn {
namespace {

bool is_firewall_step(const tunnel::UndoStep& step) { return step.kind == tunnel::Firewall::kUndoKind; }

}  // namespace

LocalNetwork::LocalNetwork(tunnel::UndoJournal journal, tunnel::Netlink netlink, DnsEnvironment dns)
    : journal_(std::make_unique<tunnel::UndoJournal>(std::move(journal))),
      netlink_(std::make_unique<tunnel::Netlink>(std::move(netlink))),
      routes_(*netlink_, *journal_),
      dns_(*journal_, std::move(dns)) {
  const auto steps = journal_->steps();
  kill_switch_left_ = std::any_of(steps.begin(), steps.end(), is_firewall_step);
}

Outcome<LocalNetwork> LocalNetwork::open(const StateDirectory& state, DnsEnvironment dns) {
  auto journal = tunnel::UndoJournal::open(state.journal());
  if (!journal) {
    return Failure::of(journal.error(), "cannot read " + state.journal().string(),
                       "remove the file, then check iptables-save, ip rule and /etc/resolv.conf by hand");
  }
  auto netlink = tunnel::Netlink::open();
  if (!netlink) return Failure::of(netlink.error(), "cannot talk to the kernel");
  return LocalNetwork(std::move(*journal), std::move(*netlink), std::move(dns));
}

Outcome<void> LocalNetwork::undo(bool keep_firewall) {
  tunnel::UndoHandlers handlers = Routes::undo_handlers();
  handlers.merge(Dns::undo_handlers());
  handlers[std::string(tunnel::Firewall::kUndoKind)] = tunnel::Firewall::undo_handler();
  const auto failures =
      journal_->undo(handlers, [&](const tunnel::UndoStep& step) { return keep_firewall && is_firewall_step(step); });
  if (failures.empty()) return {};
  Failure failure;
  for (const tunnel::UndoFailure& one : failures) {
    failure.message +=
        (failure.message.empty() ? "not everything could be put back: " : "; ") + one.step.kind + ": " + one.what;
  }
  failure.remedy = "mend the cause, then: higgsvpn disconnect";
  return failure;
}

Outcome<void> LocalNetwork::recover() {
  tunnel_.reset();
  return undo(true);
}

Outcome<void> LocalNetwork::restore() {
  tunnel_.reset();
  firewall_applied_ = false;
  auto undone = undo(false);
  if (undone) kill_switch_left_ = false;
  return undone;
}

Outcome<void> LocalNetwork::apply_firewall() {
  const auto applied = firewall_.apply(make_firewall_plan(kill_switch_), *journal_);
  if (applied) {
    firewall_applied_ = true;
    return {};
  }
  Failure failure = Failure::of(applied.error(), "cannot set up the firewall");
  if (!firewall_.detail().empty()) failure.message += " (" + firewall_.detail() + ")";
  return failure;
}

Outcome<void> LocalNetwork::close(bool kill_switch, bool allow_lan) {
  kill_switch_ = {kill_switch, allow_lan, kFirewallMark, std::nullopt};
  return apply_firewall();
}

Outcome<void> LocalNetwork::lead_into(const TunnelAddresses& tunnel) {
  kill_switch_.tunnel = KillSwitchOptions::Tunnel{tunnel.ifname, tunnel.addresses};
  if (auto applied = apply_firewall(); !applied) return applied;
  if (const auto applied = routes_.apply(tunnel.ifname); !applied) {
    return Failure::of(applied.error(), "cannot set up the routes");
  }
  if (!tunnel.dns.empty()) {
    if (const auto applied = dns_.apply(tunnel.ifname, tunnel.dns); !applied) {
      return Failure::of(applied.error(), "cannot set up DNS");
    }
  }
  tunnel_ = tunnel;
  return {};
}

std::optional<std::string> LocalNetwork::mend() {
  std::string mended;
  const auto note = [&](const char* what, bool done, const std::string& trouble) {
    mended += (mended.empty() ? "" : "; ") + std::string(what) +
              (done ? " put back after another program changed it" : " changed by another program: " + trouble);
  };
  if (firewall_applied_ && !firewall_.verify()) {
    const auto applied = apply_firewall();
    note("the firewall was", applied.has_value(), applied ? "" : applied.error().message);
  }
  if (tunnel_ && !routes_.verify(tunnel_->ifname)) {
    const auto applied = routes_.apply(tunnel_->ifname);
    note("the routing was", applied.has_value(), applied ? "" : applied.error().message());
  }
  if (tunnel_ && !tunnel_->dns.empty() && !dns_.stands()) {
    const auto applied = dns_.apply(tunnel_->ifname, tunnel_->dns);
    note("resolv.conf was", applied.has_value(), applied ? "" : applied.error().message());
  }
  return mended.empty() ? std::nullopt : std::optional(mended);
}

}  // namespace higgs::vpn
