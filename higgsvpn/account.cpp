#include "higgsvpn/account.h"

#include <algorithm>

#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>
#include <nlohmann/json.hpp>

#include "runtime/files.h"

namespace higgs::vpn {
namespace {

using Json = nlohmann::json;

Json to_json(const api::RelayServer& server) {
  Json result{{"id", server.id}, {"host", server.host}, {"port", server.port}};
  if (server.pin) result["pin"] = *server.pin;
  return result;
}

api::RelayServer relay_server_of(const Json& file) {
  api::RelayServer server;
  server.id = file.at("id").get<std::string>();
  server.host = file.at("host").get<std::string>();
  server.port = file.at("port").get<std::uint16_t>();
  if (file.contains("pin")) server.pin = file.at("pin").get<std::string>();
  return server;
}

Json to_json(const Account& account) {
  Json hosts = Json::object();
  for (const auto& [name, addresses] : account.known_hosts) {
    for (const IpAddress& address : addresses) hosts[name].push_back(address.to_string());
  }
  Json result{{"server", account.server},
              {"username", account.username},
              {"accessToken", account.access_token.reveal()},
              {"accessExpiresAt", account.access_expires_at},
              {"refreshToken", account.refresh_token.reveal()},
              {"refreshExpiresAt", account.refresh_expires_at},
              {"knownHosts", hosts}};
  if (!account.trust.spki_pins.empty()) result["pins"] = account.trust.spki_pins;
  for (const auto& server : account.relay_servers) result["relayServers"].push_back(to_json(server));
  if (account.trust.ca_file) result["ca"] = *account.trust.ca_file;
  return result;
}

// Throws Json::exception where the file is not of ours.
Account from_json(const Json& file) {
  Account account;
  account.server = file.at("server").get<std::string>();
  account.username = file.at("username").get<std::string>();
  account.access_token = SecretString(file.at("accessToken").get<std::string>());
  account.access_expires_at = file.at("accessExpiresAt").get<std::int64_t>();
  account.refresh_token = SecretString(file.at("refreshToken").get<std::string>());
  account.refresh_expires_at = file.at("refreshExpiresAt").get<std::int64_t>();
  if (file.contains("pins")) account.trust.spki_pins = file.at("pins").get<std::vector<std::string>>();
  if (file.contains("ca")) account.trust.ca_file = file.at("ca").get<std::string>();
  if (file.contains("relayServers"))
    for (const Json& server : file.at("relayServers")) account.relay_servers.push_back(relay_server_of(server));
  for (const auto& [name, addresses] : file.at("knownHosts").items()) {
    for (const Json& text : addresses) {
      if (const auto address = IpAddress::parse(text.get<std::string>())) account.known_hosts[name].push_back(*address);
    }
  }
  return account;
}

}  // namespace

void Account::take(const api::TokenResponse& tokens) {
  access_token = SecretString(tokens.access_token);
  access_expires_at = tokens.expires_at;
  refresh_token = SecretString(tokens.refresh_token);
  refresh_expires_at = tokens.refresh_expires_at;
  if (!tokens.relay_servers.empty()) relay_servers = tokens.relay_servers;
}

net::TlsTrust Account::trust_in_all() const {
  auto all = trust;
  if (all.spki_pins.empty()) return all;
  for (const auto& other : relay_servers)
    if (other.pin && std::find(all.spki_pins.begin(), all.spki_pins.end(), *other.pin) == all.spki_pins.end())
      all.spki_pins.push_back(*other.pin);
  return all;
}

std::optional<std::string> server_origin(const std::string& typed) {
  const std::string text = typed.find("://") == std::string::npos ? "https://" + typed : typed;
  const auto url = boost::urls::parse_uri(text);
  if (!url || url->scheme() != "https" || url->host().empty() || url->has_userinfo() || url->has_query()) {
    return std::nullopt;
  }
  if (!url->path().empty() && url->path() != "/") return std::nullopt;
  return "https://" + std::string(url->encoded_host_and_port());
}

std::string host_of(const std::string& origin) {
  const auto url = boost::urls::parse_uri(origin);
  return url ? std::string(url->host_address()) : std::string();
}

Result<std::optional<Account>> load_account(const StateDirectory& state) {
  auto text = runtime::read_file_if_there(state.account());
  if (!text) return text.error();
  if (!*text) return std::optional<Account>();
  try {
    return std::optional<Account>(from_json(Json::parse(**text)));
  } catch (const Json::exception&) {
    return errno_code(EILSEQ);
  }
}

Result<void> save_account(const StateDirectory& state, const Account& account) {
  std::string text = to_json(account).dump(1);
  const auto written = runtime::write_file_atomic(state.account(), text);
  secure_wipe(std::as_writable_bytes(std::span(text.data(), text.size())));
  return written;
}

Result<void> remove_account(const StateDirectory& state) { return runtime::remove_file(state.account()); }

}  // namespace higgs::vpn
