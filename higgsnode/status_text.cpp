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
  text += fmt::format("up for    {}\n", duration_text(status.at("uptimeSeconds").get<std::int64_t>()));
  text += fmt::format("sessions  {} of {}\n", sessions.size(), status.at("maxConnections").get<unsigned>());
  for (const auto& session : sessions) {
    text += fmt::format("  {}  {}, {} from the client, {} to it{}\n", session.at("id").get<std::string>(),
                        duration_text(session.at("seconds").get<std::int64_t>()),
                        bytes_text(session.value("bytesFromClient", std::uint64_t{0})),
                        bytes_text(session.value("bytesToClient", std::uint64_t{0})),
                        session.at("linked").get<bool>() ? "" : ", waits for the relay");
  }
  return text;
}

}  // namespace higgs::node
