// What clients see of nodes: lists, and one node.
#include <algorithm>
#include <charconv>

#include "base/base64.h"
#include "base/number.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/paging.h"
#include "bosonserver/domain/liveness.h"

namespace higgs::boson {
namespace {

double load_of(const NodeRecord& node) {
  const auto share = [](double part, double whole) {
    return whole <= 0 ? 100 : std::clamp(100 * part / whole, 0., 100.);
  };
  return std::max(share(node.metrics.active_connections, node.capabilities.max_connections),
                  share(node.metrics.bandwidth.down, node.capabilities.bandwidth.down));
}

api::NodeSummary summary_of(const Call& call, const NodeRecord& node) {
  api::NodeSummary summary;
  summary.node_id = node.id;
  summary.status = current_status(node, is_linked(call.services, node), call.seconds());
  summary.location = call.services.places.shown_location(node);
  summary.nat_type = node.network_info.nat_type;
  summary.capabilities = node.capabilities;
  summary.active_connections = node.metrics.active_connections;
  summary.latency = node.metrics.latency;
  summary.packet_loss = node.metrics.packet_loss;
  summary.load = load_of(node);
  summary.key_certificate = node.key_certificate;
  return summary;
}

enum class Order { kNodeId, kLatency, kLoad, kBandwidth };

struct Query {
  std::optional<std::string> country, region;
  std::optional<api::NatType> nat_type;
  std::optional<double> min_bandwidth, max_latency;
  std::optional<api::NodeStatus> status;
  bool all_statuses = false;
  Order order = Order::kNodeId;
  std::size_t limit = kUsualPage;
  /// The last of the page before: its sort key and id.
  std::optional<std::pair<double, std::string>> after;
};

/// Ascending is best first.
double key_of(const api::NodeSummary& node, Order order) {
  switch (order) {
    case Order::kNodeId:
      return 0;
    case Order::kLatency:
      return node.latency;
    case Order::kLoad:
      return node.load;
    case Order::kBandwidth:
      return -node.capabilities.bandwidth.down;
  }
  return 0;
}

/// nullopt also for a negative one, and for what is no number of any size.
std::optional<double> parse_amount(std::string_view text) {
  const auto amount = parse_number<double>(text);
  return amount && *amount >= 0 ? amount : std::nullopt;
}

std::string cursor_of(const api::NodeSummary& node, Order order) {
  std::array<char, 64> key{};
  const auto end = std::to_chars(key.data(), key.data() + key.size(), key_of(node, order)).ptr;
  return to_base64url(as_bytes(std::string(key.data(), end) + "|" + to_string(node.node_id)));
}

bool parse_cursor(std::string_view text, Query& query) {
  const auto bytes = from_base64url(text);
  if (!bytes) return false;
  const std::string plain(as_text(*bytes));
  const auto bar = plain.find('|');
  if (bar == plain.npos || !Uuid::parse(std::string_view(plain).substr(bar + 1))) return false;
  const auto key = parse_number<double>(std::string_view(plain).substr(0, bar));
  if (!key) return false;
  query.after = {*key, plain.substr(bar + 1)};
  return true;
}

bool parse_order(std::string_view text, Order& order) {
  constexpr std::array<std::string_view, 4> kNames{"nodeId", "latency", "load", "bandwidth"};
  const auto* const found = std::find(kNames.begin(), kNames.end(), text);
  if (found == kNames.end()) return false;
  order = static_cast<Order>(found - kNames.begin());
  return true;
}

/// The name of the parameter that cannot be understood; "" if all can. Unknown ones are ignored.
std::string parse_query(const Call& call, Query& query) {
  for (const auto& [name, value] : call.request.query) {
    bool good = true;
    if (name == "country") query.country = value;
    if (name == "region") query.region = value;
    if (name == "natType") good = (query.nat_type = api::parse_nat_type(value)).has_value();
    if (name == "minBandwidth") good = (query.min_bandwidth = parse_amount(value)).has_value();
    if (name == "maxLatency") good = (query.max_latency = parse_amount(value)).has_value();
    if (name == "sort") good = parse_order(value, query.order);
    if (name == "limit") {
      const auto limit = parse_limit(value);
      good = limit.has_value();
      query.limit = limit.value_or(query.limit);
    }
    if (name == "cursor") good = parse_cursor(value, query);
    if (name == "status") {
      query.all_statuses = value == "all";
      if (!query.all_statuses) good = (query.status = api::parse_node_status(value)).has_value();
    }
    if (!good) return name;
  }
  return {};
}

bool is_offered(api::NodeStatus status) {
  return status == api::NodeStatus::kOnline || status == api::NodeStatus::kDegraded;
}

bool fits(const api::NodeSummary& node, const Query& query) {
  if (query.status ? node.status != *query.status : !query.all_statuses && !is_offered(node.status)) return false;
  if (query.country && (!node.location || node.location->country != *query.country)) return false;
  if (query.region && (!node.location || node.location->region != *query.region)) return false;
  if (query.nat_type && node.nat_type != *query.nat_type) return false;
  if (query.min_bandwidth && node.capabilities.bandwidth.down < *query.min_bandwidth) return false;
  return !query.max_latency || node.latency <= *query.max_latency;
}

}  // namespace

net::HttpResponse list_nodes(Call& call) {
  Query query;
  if (const auto wrong = parse_query(call, query); !wrong.empty())
    return bad_query("the value of " + wrong + " is not one it can have");
  const bool beyond = query.all_statuses || (query.status && !is_offered(*query.status));
  if (beyond && call.role < api::Role::kOperator)
    return forbidden("nodes that are not offered are shown to operators only");
  const auto nodes = call.services.directory.nodes(call.now);
  if (!nodes) return store_failure(nodes.error(), "node");

  std::vector<std::pair<std::pair<double, std::string>, api::NodeSummary>> found;
  for (const auto& node : **nodes) {
    auto summary = summary_of(call, *node);
    if (!fits(summary, query)) continue;
    std::pair place{key_of(summary, query.order), to_string(node->id)};
    if (!query.after || place > *query.after) found.emplace_back(std::move(place), std::move(summary));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  api::NodeList list;
  for (std::size_t i = 0; i < found.size() && i < query.limit; ++i) list.nodes.push_back(std::move(found[i].second));
  if (found.size() > query.limit) list.next_cursor = cursor_of(list.nodes.back(), query.order);
  return json_answer(list);
}

net::HttpResponse get_node(Call& call) {
  const auto id = call.id<NodeId>();
  if (!id) return not_found("node");
  const auto node = call.services.store.node(*id);
  if (!node) return store_failure(node.error(), "node");
  if (node->admission != NodeAdmission::kApproved && call.role < api::Role::kOperator) return not_found("node");
  return json_answer(summary_of(call, *node));
}

}  // namespace higgs::boson
