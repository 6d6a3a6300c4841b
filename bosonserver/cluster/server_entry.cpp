#include "bosonserver/cluster/server_entry.h"

#include <nlohmann/json.hpp>

#include "api/registration_signature.h"
#include "base/number.h"

namespace higgs::boson {
namespace {

constexpr std::string_view kScheme = "https://";
constexpr unsigned kMostWorkers = 1024;

bool is_percentage(double value) noexcept { return value >= 0 && value <= 100; }

}  // namespace

std::string host_of_origin(std::string_view origin) {
  auto host = origin.substr(kScheme.size());
  host = host.substr(0, host.rfind(':'));
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  return std::string(host);
}

std::uint16_t port_of_origin(std::string_view origin) {
  return parse_number<std::uint16_t>(origin.substr(origin.rfind(':') + 1)).value_or(0);
}

api::RelayServer ServerEntry::shown() const {
  api::RelayServer server;
  server.id = to_string(id);
  server.host = host_of_origin(url);
  server.port = port_of_origin(url);
  server.pin = pin;
  server.load = load;
  server.draining = draining;
  return server;
}

std::string encode_entry(const ServerEntry& entry) {
  return nlohmann::json{{"id", to_string(entry.id)},
                        {"url", entry.url},
                        {"pin", entry.pin},
                        {"relayWorkers", entry.relay_workers},
                        {"stunPort", entry.stun_port},
                        {"load", entry.load},
                        {"draining", entry.draining}}
      .dump();
}

std::optional<ServerEntry> decode_entry(std::string_view json) {
  try {
    const auto parsed = nlohmann::json::parse(json);
    ServerEntry entry;
    const auto id = parse_id<ServerId>(parsed.at("id").get<std::string>());
    const auto url = api::origin_of(parsed.at("url").get<std::string>());
    entry.pin = parsed.at("pin").get<std::string>();
    entry.relay_workers = parsed.at("relayWorkers").get<unsigned>();
    entry.stun_port = parsed.at("stunPort").get<std::uint16_t>();
    entry.load = parsed.at("load").get<double>();
    entry.draining = parsed.at("draining").get<bool>();
    if (!id || !url || entry.relay_workers == 0 || entry.relay_workers > kMostWorkers) return std::nullopt;
    if (!is_percentage(entry.load)) return std::nullopt;
    entry.id = *id;
    entry.url = *url;
    return entry;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

std::string encode_pulse(const ServerPulse& pulse) {
  return nlohmann::json{{"load", pulse.load}, {"draining", pulse.draining}}.dump();
}

std::optional<ServerPulse> decode_pulse(std::string_view json) {
  try {
    const auto parsed = nlohmann::json::parse(json);
    const ServerPulse pulse{parsed.at("load").get<double>(), parsed.at("draining").get<bool>()};
    return is_percentage(pulse.load) ? std::optional(pulse) : std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace higgs::boson
