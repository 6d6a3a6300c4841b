#include "higgsnode/routing_engine.h"

#include "higgsnode/forwarding.h"
#include "runtime/log.h"

namespace higgs::node {
namespace {

namespace log = runtime::log;

tunnel::UndoHandlers handlers(const tunnel::CommandRunner& runner) {
  return {{std::string(tunnel::Firewall::kUndoKind), tunnel::Firewall::undo_handler(runner)},
          {EgressRoutes::kUndoKind, EgressRoutes::undo_handler()},
          {"sysctl", tunnel::sysctl_undo_handler()}};
}

}  // namespace

RoutingEngine::RoutingEngine(tunnel::UndoJournal& journal, std::string chain_prefix, std::uint32_t table,
                             tunnel::CommandRunner runner)
    : journal_(journal),
      prefix_(std::move(chain_prefix)),
      runner_(std::move(runner)),
      firewall_(runner_),
      routes_(table) {}

std::vector<std::string> RoutingEngine::recover(tunnel::UndoJournal& journal, const tunnel::CommandRunner& runner) {
  std::vector<std::string> messages;
  for (const auto& failure : journal.undo(handlers(runner))) {
    messages.push_back(failure.step.kind + " could not be undone: " + failure.what);
  }
  return messages;
}

Result<void> RoutingEngine::put_in_place() {
  const auto plan = make_plan(policy_, prefix_);
  if (!plan) {
    detail_ = "there are more than " + std::to_string(kMaxDeniedPrefixes) + " networks that clients may not reach";
    return tunnel::FirewallError::kBadPlan;
  }
  if (auto applied = firewall_.apply(*plan, journal_); !applied) {
    detail_ = firewall_.detail();
    return applied;
  }
  auto routed = routes_.apply(policy_, journal_);
  if (!routed) detail_ = "the policy's routes could not be set";
  return routed;
}

Result<void> RoutingEngine::open_forwarding() {
  if (auto v4 = enable_forwarding_v4(journal_); !v4) return v4;
  return policy_.ipv6 ? enable_forwarding_v6(journal_) : Result<void>();
}

Result<void> RoutingEngine::apply(EgressPolicy policy) {
  if (!probed_) {
    const auto before = read_forwarding();
    policy.close_v4 = !before.v4;
    policy.ipv6 = policy.ipv6 && before.has_v6;
    policy.close_v6 = policy.ipv6 && !before.v6;
    policy_ = std::move(policy);
  } else {
    policy.close_v4 = policy_.close_v4;
    policy.close_v6 = policy_.close_v6;
    policy.limit_connections = policy_.limit_connections;
    policy.ipv6 = policy_.ipv6;
    if (in_force_ && policy == policy_) return {};
    policy_ = std::move(policy);
  }
  in_force_ = false;
  auto placed = put_in_place();
  if (!placed && !probed_ && placed.error() == tunnel::FirewallError::kRefused) {
    log::warn("the kernel cannot count connections per client; there will be no cap", {{"detail", detail_}});
    policy_.limit_connections = false;
    placed = put_in_place();
  }
  if (!placed && !probed_ && placed.error() == tunnel::FirewallError::kRefused && policy_.ipv6) {
    log::warn("the kernel cannot translate IPv6; clients get IPv4 only", {{"detail", detail_}});
    policy_.limit_connections = true;
    policy_.ipv6 = policy_.close_v6 = false;
    placed = put_in_place();
  }
  if (!placed) return placed;
  // Only behind the rules, so that there is no moment in which the host forwards what they deny.
  if (auto opened = open_forwarding(); !opened) {
    detail_ = "forwarding could not be turned on";
    return opened;
  }
  probed_ = true;
  in_force_ = true;
  return {};
}

bool RoutingEngine::forwarding_open() const {
  const auto forwarding = read_forwarding();
  return forwarding.v4 && (!policy_.ipv6 || forwarding.v6);
}

bool RoutingEngine::untouched() const { return in_force_ && firewall_.untouched() && forwarding_open(); }

Result<void> RoutingEngine::check() {
  const bool open = forwarding_open();
  const auto verified = firewall_.verify();
  const bool routed = routes_.stand();
  if (verified && open && routed) {
    in_force_ = true;
    return {};
  }
  ++repairs_;
  log::warn("our firewall rules, routes or forwarding were changed by another program; putting them back",
            {{"rules", verified ? "as applied" : verified.error().message()},
             {"routes", routed ? "as applied" : "changed"},
             {"forwarding", open}});
  in_force_ = false;
  if (auto placed = put_in_place(); !placed) return placed;
  if (auto opened = open_forwarding(); !opened) return opened;
  in_force_ = true;
  return {};
}

std::vector<std::string> RoutingEngine::remove() {
  in_force_ = false;
  return recover(journal_, runner_);
}

}  // namespace higgs::node
