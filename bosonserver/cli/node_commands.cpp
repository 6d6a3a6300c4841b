#include "bosonserver/cli/node_commands.h"

#include <stdexcept>

#include "bosonserver/api/node_rules.h"

namespace higgs::boson {
namespace {

using Json = Console::Json;

constexpr const char* kNodeExamples = R"(Examples:
  bosonserver node list --json | jq -r '.[] | select(.status == "pending") | .nodeId'
  bosonserver node approve 5f0c8d1e-…
  bosonserver node ban 5f0c8d1e-…
  bosonserver node maintenance 5f0c8d1e-… on
  bosonserver node allow 192.0.2.0/24 --note 'the office')";
constexpr const char* kNodeListExamples = "Example:\n  bosonserver node list";
constexpr const char* kNodeShowExamples = "Example:\n  bosonserver node show 5f0c8d1e-…";
constexpr const char* kNodeApproveExamples =
    "Example:\n  bosonserver node approve 5f0c8d1e-…     # one that is pending";
constexpr const char* kNodeBanExamples =
    "Example:\n  bosonserver node ban 5f0c8d1e-…     # closes its link and ends its tunnels";
constexpr const char* kNodeUnbanExamples = "Example:\n  bosonserver node unban 5f0c8d1e-…";
constexpr const char* kNodeConfigExamples = R"(Examples:
  bosonserver node update-config 5f0c8d1e-… '{"maxConnections": 20, "logLevel": "debug"}'
  bosonserver node update-config 5f0c8d1e-… '{"maxConnections": null}'     # as the volunteer has it
Keys: heartbeatInterval, metricsInterval, maxConnections, relayServers, stunServers, logLevel. The rest is the volunteer's.
What the node says to it is in the audit as node.action.)";
constexpr const char* kNodeMaintenanceExamples = R"(Examples:
  bosonserver node maintenance 5f0c8d1e-… on      # no new tunnels; those that stand go on
  bosonserver node maintenance 5f0c8d1e-… off)";
constexpr const char* kNodeRestartExamples = "Example:\n  bosonserver node restart 5f0c8d1e-…";
constexpr const char* kNodeActionsExamples =
    "Example:\n  bosonserver node actions 5f0c8d1e-…     # those that the node has not answered";
constexpr const char* kNodeAllowlistExamples = "Example:\n  bosonserver node allowlist";
constexpr const char* kNodeAllowExamples = R"(Examples:
  bosonserver node allow 192.0.2.0/24 --note 'the office'
  bosonserver node allow CV8m…=                   # an identity, as `higgsnode status --json` shows it
Beside admission.networks and admission.identities of the configuration, in admission mode allowlist.)";
constexpr const char* kNodeDisallowExamples =
    "Example:\n  bosonserver node disallow 018f…     # nodes that it has let in stay; `node ban` shuts one out";

std::string where(const NodeRecord& node) {
  return node.location ? node.location->country + (node.location->region.empty() ? "" : " " + node.location->region)
                       : "";
}

Json json_of(const NodeRecord& node) {
  Json json{{"nodeId", to_string(node.id)},
            {"status", api::to_string(node.shown_status())},
            {"country", nullptr},
            {"region", nullptr},
            {"address", node.address.to_string()},
            {"natType", api::to_string(node.network_info.nat_type)},
            {"activeConnections", node.metrics.active_connections},
            {"maxConnections", node.capabilities.max_connections},
            {"registeredAt", node.registered_at},
            {"lastSeen", node.last_seen}};
  if (node.location) {
    json["country"] = node.location->country;
    json["region"] = node.location->region;
  }
  return json;
}

/// With a sentence for who has mistyped an id.
template <class T>
Result<T> known(Result<T> of_node, const std::string& id) {
  if (!of_node && of_node.error() == StoreError::kNotFound) throw std::runtime_error("there is no node " + id);
  return of_node;
}

/// An act on a node that there is.
NodeId begin(Console& console, std::string_view action, const std::string& text) {
  const auto id = Console::id<NodeId>(text, "node");
  console.begin(action, "node:" + to_string(id));
  return must(known(console.store().node(id), text)).id;
}

/// As the API takes it, or std::runtime_error that names what is wrong.
template <class T>
T request_of(const Json& body) {
  const auto request = api::decode<T>(body.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!request) throw std::runtime_error(request.error().to_string());
  if (const auto faults = faults_of(*request); !faults.list.empty()) throw std::runtime_error(faults.to_string());
  return *request;
}

}  // namespace

NodeCommands::NodeCommands(CommandTable& table) {
  auto& group = table.add_group("node", "volunteers' nodes, also while servers run", kNodeExamples);
  const auto with_id = [this](CLI::App& command) { command.add_option("ID", id_, "node id")->required(); };
  table.add(group, "list", "list nodes", kNodeListExamples, list);
  with_id(table.add(group, "show", "what is known of a node", kNodeShowExamples,
                    [this](Console& console) { return show(console); }));
  with_id(table.add(group, "approve", "let a node join", kNodeApproveExamples,
                    [this](Console& console) { return admit(console, "node.approve"); }));
  with_id(
      table.add(group, "ban", "shut a node out", kNodeBanExamples, [this](Console& console) { return ban(console); }));
  with_id(table.add(group, "unban", "let a banned node join again", kNodeUnbanExamples,
                    [this](Console& console) { return admit(console, "node.unban"); }));
  add_action_commands(table, group);
  add_allowlist_commands(table, group);
}

void NodeCommands::add_action_commands(CommandTable& table, CLI::App& group) {
  const auto with_id = [this](CLI::App& command) -> CLI::App& {
    command.add_option("ID", id_, "node id")->required();
    return command;
  };
  with_id(table.add(group, "update-config", "change settings of a node, as far as its volunteer allows",
                    kNodeConfigExamples, [this](Console& console) { return update_config(console); }))
      .add_option("CONFIG", config_, "JSON; what it does not name stays, null takes a setting back")
      ->required();
  with_id(table.add(group, "maintenance", "let a node take no new tunnels", kNodeMaintenanceExamples,
                    [this](Console& console) {
                      return queue(console, api::ActionType::kMaintenance, {{"on", switch_ == "on"}});
                    }))
      .add_option("STATE", switch_, "on or off")
      ->required()
      ->check(CLI::IsMember({"on", "off"}));
  with_id(table.add(group, "restart", "let a node begin anew", kNodeRestartExamples,
                    [this](Console& console) { return queue(console, api::ActionType::kRestart, Json::object()); }));
  with_id(table.add(group, "actions", "list what a node has still to do", kNodeActionsExamples,
                    [this](Console& console) { return list_actions(console); }));
}

void NodeCommands::add_allowlist_commands(CommandTable& table, CLI::App& group) {
  table.add(group, "allowlist", "list who may join in admission mode allowlist", kNodeAllowlistExamples, list_allowed);
  auto& allow_command = table.add(group, "allow", "put a network or an identity on the allow-list", kNodeAllowExamples,
                                  [this](Console& console) { return allow(console); });
  allow_command.add_option("WHO", who_, "network, or identity key in base64")->required();
  allow_command.add_option("--note", note_, "for those who read the list");
  table
      .add(group, "disallow", "take an entry off the allow-list", kNodeDisallowExamples,
           [this](Console& console) { return disallow(console); })
      .add_option("ID", entry_, "as `node allowlist` shows it")
      ->required();
}

int NodeCommands::list(Console& console) {
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (std::optional<NodeId> after;;) {
    const auto page = must(console.store().nodes(after, kMaxPage));
    for (const auto& node : page) {
      all.push_back(json_of(node));
      rows.push_back({to_string(node.id), std::string(api::to_string(node.shown_status())), where(node),
                      std::to_string(node.metrics.active_connections), time_text(node.last_seen)});
    }
    if (page.size() < kMaxPage) break;
    after = page.back().id;
  }
  return console.answer(all, table({"ID", "STATUS", "WHERE", "TUNNELS", "LAST SEEN"}, rows));
}

int NodeCommands::show(Console& console) const {
  const auto node = must(known(console.store().node(Console::id<NodeId>(id_, "node")), id_));
  return console.answer(json_of(node), json_of(node).dump(2));
}

int NodeCommands::admit(Console& console, const char* action) const {
  const auto id = begin(console, action, id_);
  must(console.store().set_node_admission(id, NodeAdmission::kApproved));
  console.audit("ok");
  return console.answer(json_of(must(console.store().node(id))), "approved " + id_);
}

int NodeCommands::ban(Console& console) const {
  const auto id = begin(console, "node.ban", id_);
  must(console.store().set_node_admission(id, NodeAdmission::kBanned));
  console.audit("ok");
  const auto ended = must(console.store().end_sessions_of_node(id, "banned", console.now())).size();
  auto json = json_of(must(console.store().node(id)));
  json["endedSessions"] = ended;
  return console.answer(json, "banned " + id_ + ", and ended " + std::to_string(ended) + " tunnels");
}

int NodeCommands::queue(Console& console, api::ActionType type, const Json& payload) const {
  const auto id = begin(console, "node.action.create", id_);
  const auto request = request_of<api::CreateActionRequest>({{"type", api::to_string(type)}, {"payload", payload}});
  const auto action = make_action(request, id, console.random(), console.now());
  const auto added = console.store().add_action(action);
  if (!added && added.error() == StoreError::kFull)
    throw std::runtime_error("too many actions wait for this node: see `bosonserver node actions " + id_ + "`");
  must(added);
  console.audit(outcome_of(action));
  return console.answer({{"id", action.id}}, "queued " + action.id + "; the node's answer comes to the audit");
}

int NodeCommands::update_config(Console& console) const {
  auto payload = Json::parse(config_, nullptr, false);
  if (payload.is_discarded()) throw std::runtime_error("CONFIG is not JSON, as '{\"logLevel\": \"debug\"}' is");
  return queue(console, api::ActionType::kUpdateConfig, payload);
}

int NodeCommands::list_actions(Console& console) const {
  const auto id = Console::id<NodeId>(id_, "node");
  const auto waiting = must(known(waiting_actions(console.store(), id), id_));
  std::vector<std::vector<std::string>> rows;
  for (const auto& action : waiting.actions)
    rows.push_back(
        {action.id, std::string(api::to_string(action.type)), time_text(action.created_at), action.payload.text});
  return console.answer(Json::parse(api::encode(waiting))["actions"], table({"ID", "TYPE", "QUEUED", "PAYLOAD"}, rows));
}

int NodeCommands::list_allowed(Console& console) {
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : must(console.store().allow_entries())) {
    all.push_back(Json::parse(api::encode(shown(entry))));
    rows.push_back({entry.id, object_of(entry), time_text(entry.created_at), entry.created_by, entry.note});
  }
  return console.answer(all, table({"ID", "WHO", "ADDED", "BY", "NOTE"}, rows));
}

int NodeCommands::allow(Console& console) const {
  const bool is_network = IpPrefix::parse(who_).has_value();
  if (!is_network && !crypto::Ed25519PublicKey::from_base64(who_))
    throw std::runtime_error("'" + who_ + "' is neither a network nor an identity key");
  const auto request =
      request_of<api::CreateAllowEntryRequest>({{is_network ? "network" : "identityKey", who_}, {"note", note_}});
  const auto entry = make_allow_entry(request, console.random(), std::string(kConsole), console.now());
  console.begin("allowlist.add", object_of(entry));
  const auto added = console.store().add_allow_entry(entry);
  if (!added && added.error() == StoreError::kExists) throw std::runtime_error(who_ + " is on the list already");
  must(added);
  console.audit("ok");
  return console.answer(Json::parse(api::encode(shown(entry))), "added " + object_of(entry) + " as " + entry.id);
}

int NodeCommands::disallow(Console& console) const {
  console.begin("allowlist.remove", entry_);
  const auto removed = console.store().remove_allow_entry(entry_);
  if (!removed && removed.error() == StoreError::kNotFound)
    throw std::runtime_error("there is no entry " + entry_ + " (any more)");
  must(removed);
  console.audit("ok");
  return console.answer({{"id", entry_}}, "removed " + entry_ + " from the list");
}

}  // namespace higgs::boson
