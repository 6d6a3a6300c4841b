#include "higgsvpn/node_trust.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/files.h"

namespace higgs::vpn {
namespace {

using Json = nlohmann::json;

constexpr const char* kRemedy =
    "the server or somebody between is not honest, or its data is stale: choose another node, and tell its operator";

Failure refused(const NodeId& node, const std::string& why) {
  return {ExitCode::kFailure, fmt::format("node {} was refused: {}", to_string(node), why), kRemedy, false, {}};
}

}  // namespace

NodeTrust::NodeTrust(std::filesystem::path file) : file_(std::move(file)) {}

Result<void> NodeTrust::load() {
  const auto text = runtime::read_file_if_there(file_, 4 * 1024 * 1024);
  if (!text) return text.error();
  seen_.clear();
  if (!*text) return {};
  const Json nodes = Json::parse(**text, nullptr, false);
  // Forgetting what was seen would let an old key back in: a damaged file is an error, not an empty one.
  if (!nodes.is_object()) return errno_code(EILSEQ);
  for (const auto& [name, entry] : nodes.items()) {
    const auto id = parse_id<NodeId>(name);
    if (!id || !entry.is_object() || !entry.contains("sequence") || !entry["sequence"].is_number_unsigned()) {
      return errno_code(EILSEQ);
    }
    const auto used = entry.find("lastUsed");
    seen_[*id] = {entry["sequence"].get<std::uint64_t>(),
                  used != entry.end() && used->is_number_integer() ? used->get<std::int64_t>() : 0};
  }
  return {};
}

Result<void> NodeTrust::save() const {
  Json nodes = Json::object();
  for (const auto& [id, seen] : seen_) {
    nodes[to_string(id)] = {{"sequence", seen.sequence}, {"lastUsed", seen.last_used}};
  }
  return runtime::write_file_atomic(file_, nodes.dump());
}

Outcome<void> NodeTrust::check(const api::NodeEndpoint& offered, const std::optional<NodeId>& wanted, WallTime now) {
  const api::WireguardConfig& config = offered.wireguard_config;
  const NodeId& node = offered.node_id;
  if (wanted && *wanted != node) return refused(node, "node " + to_string(*wanted) + " was asked for");
  const auto verified = api::verify_key_certificate(config.key_certificate, node, now);
  if (!verified) return refused(node, verified.error().message());
  if (config.key_certificate.wireguard_public_key != config.public_key) {
    return refused(node, "its key certificate is for another WireGuard key");
  }
  // A preshared key from the server would be known to the server.
  if (config.preshared_key) return refused(node, "the server tried to set a preshared key");
  const auto seen = seen_.find(node);
  const std::uint64_t sequence = config.key_certificate.sequence;
  if (seen != seen_.end() && sequence < seen->second.sequence) {
    return refused(node, fmt::format("its key certificate is older (sequence {}) than one seen before ({})", sequence,
                                     seen->second.sequence));
  }
  seen_[node] = {sequence, unix_seconds(now)};
  if (seen_.size() > kMaxNodes) {
    seen_.erase(std::min_element(seen_.begin(), seen_.end(),
                                 [](const auto& a, const auto& b) { return a.second.last_used < b.second.last_used; }));
  }
  if (const auto saved = save(); !saved) return Failure::of(saved.error(), "cannot write " + file_.string());
  return {};
}

}  // namespace higgs::vpn
