#include "higgsnode/status_text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace higgs::node {
namespace {

std::string duration_text(std::int64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < 1024 * 1024) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024 * 1024));
}

/// "direct-v4, 12.3 ms, loss 0 %, for 3 min (better-kind)".
std::string path_text(const nlohmann::json& session) {
  if (!session.contains("path") || session.at("path").is_null()) return "";
  std::string text = session.at("path").get<std::string>();
  if (session.contains("roundTripMs") && !session.at("roundTripMs").is_null()) {
    text += fmt::format(", {:.1f} ms", session.at("roundTripMs").get<double>());
  }
  return text + fmt::format(", loss {:.0f} %, for {} ({})", session.at("lossPercent").get<double>(),
                            duration_text(session.at("pathSeconds").get<std::int64_t>()),
                            session.at("pathReason").get<std::string>());
}

std::string traversal_text(const nlohmann::json& traversal) {
  if (!traversal.at("enabled").get<bool>()) return "off, the relay carries everything";
  std::string text = fmt::format("port {}", traversal.at("listenPort").get<unsigned>());
  for (const auto& seen : traversal.at("reflexive")) text += ", seen as " + seen.get<std::string>();
  if (const auto& mapping = traversal.at("portMapping"); mapping.is_object()) {
    for (const auto& mapped : mapping.at("mappings")) {
      text += fmt::format(", mapped to {} by {}", mapped.at("external").get<std::string>(),
                          mapped.at("protocol").get<std::string>());
    }
    if (mapping.at("doubleNat").get<bool>()) text += ", the router is itself behind a NAT";
  }
  return text;
}

/// What operators changed; "" if nothing.
std::string operators_text(const nlohmann::json& status) {
  const auto operators = status.find("operators");
  if (operators == status.end()) return "";
  std::string text = operators->at("maintenance").get<bool>() ? "maintenance, no new sessions" : "";
  for (const auto& [key, value] : operators->at("config").items()) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", key,
                        value.is_string() ? value.get<std::string>() : value.dump());
  }
  if (text.empty()) return "";
  return fmt::format("operators {}; as you had it: delete {} and restart\n", text,
                     operators->at("file").get<std::string>());
}

std::string with_error(const std::string& state, const std::string& error) {
  return error.empty() ? state : state + " (" + error + ")";
}

}  // namespace

std::string status_text(const nlohmann::json& status) {
  const auto& server = status.at("server");
  const auto& relay = status.at("relay");
  const auto& egress = status.at("egress");
  const auto& sessions = status.at("sessions");
  std::string registered = server.at("registered").get<bool>() ? "registered" : "not registered";
  if (server.at("pending").get<bool>()) registered = "waits for an operator's approval";
  std::string text = fmt::format("node      {}\n", status.at("nodeId").get<std::string>());
  text += fmt::format("server    {}: {}\n", server.at("url").get<std::string>(),
                      with_error(registered, server.at("lastError")));
  text += fmt::format("relay     {}\n", relay.at("up").get<bool>()
                                            ? "up, " + relay.at("url").get<std::string>()
                                            : with_error("down", relay.at("lastError").get<std::string>()));
  text += fmt::format("tunnel    {}", status.at("tunnel").at("interface").get<std::string>());
  for (const auto& prefix : status.at("tunnel").at("prefixes")) text += ", " + prefix.get<std::string>();
  text +=
      fmt::format("\negress    {}\n",
                  egress.at("inForce").get<bool>() ? "policy in force" : "POLICY NOT IN FORCE, no client is served");
  text += fmt::format("udp       {}\n", traversal_text(status.at("traversal")));
  text += operators_text(status);
  text += fmt::format("up for    {}\n", duration_text(status.at("uptimeSeconds").get<std::int64_t>()));
  text += fmt::format("sessions  {} of {}\n", sessions.size(), status.at("maxConnections").get<unsigned>());
  for (const auto& session : sessions) {
    text += fmt::format("  {}  {}, {} from the client, {} to it{}\n", session.at("id").get<std::string>(),
                        duration_text(session.at("seconds").get<std::int64_t>()),
                        bytes_text(session.value("bytesFromClient", std::uint64_t{0})),
                        bytes_text(session.value("bytesToClient", std::uint64_t{0})),
                        session.at("linked").get<bool>() ? "" : ", waits for the relay");
    if (const auto path = path_text(session); !path.empty()) text += "    path: " + path + "\n";
  }
  return text;
}

}  // namespace higgs::node
