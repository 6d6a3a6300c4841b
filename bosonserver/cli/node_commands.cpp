#include "bosonserver/cli/node_commands.h"

namespace higgs::boson {
namespace {

using Json = Console::Json;

constexpr const char* kExamples = R"(Examples:
  bosonserver node list --json | jq -r '.[] | select(.status == "pending") | .nodeId'
  bosonserver node approve 5f0c8d1e-…
  bosonserver node ban 5f0c8d1e-…)";
constexpr const char* kListExamples = "Example:\n  bosonserver node list";
constexpr const char* kShowExamples = "Example:\n  bosonserver node show 5f0c8d1e-…";
constexpr const char* kApproveExamples = "Example:\n  bosonserver node approve 5f0c8d1e-…     # one that is pending";
constexpr const char* kBanExamples =
    "Example:\n  bosonserver node ban 5f0c8d1e-…     # closes its link and ends its tunnels";
constexpr const char* kUnbanExamples = "Example:\n  bosonserver node unban 5f0c8d1e-…";

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

}  // namespace

NodeCommands::NodeCommands(CommandTable& table) {
  auto& group = table.add_group("node", "volunteers' nodes, also while servers run", kExamples);
  const auto with_id = [this](CLI::App& command) { command.add_option("ID", id_, "node id")->required(); };
  table.add(group, "list", "list nodes", kListExamples, list);
  with_id(table.add(group, "show", "what is known of a node", kShowExamples,
                    [this](Console& console) { return show(console); }));
  with_id(table.add(group, "approve", "let a node join", kApproveExamples,
                    [this](Console& console) { return admit(console, "node.approve"); }));
  with_id(table.add(group, "ban", "shut a node out", kBanExamples, [this](Console& console) { return ban(console); }));
  with_id(table.add(group, "unban", "let a banned node join again", kUnbanExamples,
                    [this](Console& console) { return admit(console, "node.unban"); }));
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
  const auto node = must(console.store().node(Console::id<NodeId>(id_, "node")));
  return console.answer(json_of(node), json_of(node).dump(2));
}

int NodeCommands::admit(Console& console, const char* action) const {
  const auto id = Console::id<NodeId>(id_, "node");
  must(console.store().set_node_admission(id, NodeAdmission::kApproved));
  console.audit(action, "node:" + to_string(id), "ok");
  return console.answer(json_of(must(console.store().node(id))), "approved " + id_);
}

int NodeCommands::ban(Console& console) const {
  const auto id = Console::id<NodeId>(id_, "node");
  must(console.store().set_node_admission(id, NodeAdmission::kBanned));
  const auto ended = must(console.store().end_sessions_of_node(id, "banned", console.now())).size();
  console.audit("node.ban", "node:" + to_string(id), "ok");
  auto json = json_of(must(console.store().node(id)));
  json["endedSessions"] = ended;
  return console.answer(json, "banned " + id_ + ", and ended " + std::to_string(ended) + " tunnels");
}

}  // namespace higgs::boson
