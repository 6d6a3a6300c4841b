#include "higgsvpn/control_channel.h"

#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/control_socket.h"
#include "runtime/files.h"

namespace higgs::vpn {
namespace {

using Json = nlohmann::json;
using State = ConnectionMachine::State;

constexpr auto kAnswerDeadline = std::chrono::seconds(5);
constexpr int kGoneDeadlineMs = 20000;

const char* state_name(State state) {
  switch (state) {
    case State::kConnecting:
      return "connecting";
    case State::kConnected:
      return "connected";
    case State::kReconnecting:
      return "reconnecting";
  }
  return "connecting";
}

Json texts(const std::vector<IpAddress>& addresses) {
  Json list = Json::array();
  for (const IpAddress& address : addresses) list.push_back(address.to_string());
  return list;
}

std::vector<IpAddress> addresses(const Json& list) {
  std::vector<IpAddress> result;
  for (const Json& text : list) {
    if (const auto address = IpAddress::parse(text.get<std::string>())) result.push_back(*address);
  }
  return result;
}

template <class T, class F>
Json or_null(const std::optional<T>& value, F encode) {
  return value ? Json(encode(*value)) : Json(nullptr);
}

std::optional<WallTime> time_of(const Json& value) {
  return value.is_number_integer() ? std::optional(from_unix_seconds(value.get<std::int64_t>())) : std::nullopt;
}

bool nobody_there(const ErrorCode& error) {
  return error == boost::system::errc::make_error_condition(boost::system::errc::connection_refused) ||
         error == boost::system::errc::make_error_condition(boost::system::errc::no_such_file_or_directory);
}

// Waits for a process that is not ours, also where it stays a zombie because nobody waits for it.
bool wait_until_gone(pid_t pid) {
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return true;
  pollfd wait{fd, POLLIN, 0};
  const int ready = ::poll(&wait, 1, kGoneDeadlineMs);
  ::close(fd);
  return ready > 0;
}

}  // namespace

std::string encode_report(const ConnectionReport& report) {
  const auto seconds = [](WallTime time) { return unix_seconds(time); };
  const auto same = [](auto value) { return value; };
  const auto id = [](const auto& value) { return to_string(value); };
  return Json{{"state", state_name(report.state)},
              {"server", report.server},
              {"killSwitch", report.kill_switch},
              {"nodeId", or_null(report.node, id)},
              {"sessionId", or_null(report.session, id)},
              {"path", report.path.empty() ? Json(nullptr) : Json(report.path)},
              {"pathReason", report.path.empty() ? Json(nullptr) : Json(report.path_reason)},
              {"pathSince", or_null(report.path_since, seconds)},
              {"pathRemote", or_null(report.path_remote, [](const Endpoint& remote) { return remote.to_string(); })},
              {"roundTripMs", or_null(report.path_round_trip_ms, same)},
              {"loss", report.path_loss},
              {"timeToDirectMs", or_null(report.time_to_direct_ms, same)},
              {"pathSwitches", report.path_switches},
              {"pathFallbacks", report.path_fallbacks},
              {"pathRestarts", report.path_restarts},
              {"duplicatedPackets", report.duplicated_packets},
              {"refusedStun", report.refused_stun},
              {"natType", report.nat_type.empty() ? Json(nullptr) : Json(report.nat_type)},
              {"interface", report.ifname.empty() ? Json(nullptr) : Json(report.ifname)},
              {"addresses", texts(report.addresses)},
              {"dns", texts(report.dns)},
              {"mtu", report.mtu},
              {"connectedSince", or_null(report.connected_since, seconds)},
              {"lastHandshake", or_null(report.last_handshake, seconds)},
              {"bytes", {{"sent", report.sent_bytes}, {"received", report.received_bytes}}},
              {"throughputMbps", {{"sent", report.sent_mbps}, {"received", report.received_mbps}}},
              {"relayRoundTripMs", or_null(report.relay_round_trip_ms, same)},
              {"relayJitterMs", report.relay_jitter_ms},
              {"droppedPackets", report.dropped_packets},
              {"reconnects", report.reconnects},
              {"trouble", report.trouble.empty() ? Json(nullptr) : Json(report.trouble)}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<ConnectionReport> parse_report(const std::string& text) try {
  const Json all = Json::parse(text);
  ConnectionReport report;
  for (const State state : {State::kConnecting, State::kConnected, State::kReconnecting}) {
    if (all.at("state") == state_name(state)) report.state = state;
  }
  report.server = all.at("server").get<std::string>();
  report.kill_switch = all.at("killSwitch").get<bool>();
  if (all.at("nodeId").is_string()) report.node = parse_id<NodeId>(all["nodeId"].get<std::string>());
  if (all.at("sessionId").is_string()) report.session = parse_id<SessionId>(all["sessionId"].get<std::string>());
  if (all.at("path").is_string()) report.path = all["path"].get<std::string>();
  if (all.at("pathReason").is_string()) report.path_reason = all["pathReason"].get<std::string>();
  report.path_since = time_of(all.at("pathSince"));
  if (all.at("pathRemote").is_string()) report.path_remote = Endpoint::parse(all["pathRemote"].get<std::string>());
  if (all.at("roundTripMs").is_number()) report.path_round_trip_ms = all["roundTripMs"].get<double>();
  report.path_loss = all.at("loss").get<double>();
  if (all.at("timeToDirectMs").is_number()) report.time_to_direct_ms = all["timeToDirectMs"].get<std::int64_t>();
  report.path_switches = all.at("pathSwitches").get<std::uint64_t>();
  report.path_fallbacks = all.at("pathFallbacks").get<std::uint64_t>();
  report.path_restarts = all.at("pathRestarts").get<std::uint64_t>();
  report.duplicated_packets = all.at("duplicatedPackets").get<std::uint64_t>();
  report.refused_stun = all.at("refusedStun").get<std::uint64_t>();
  if (all.at("natType").is_string()) report.nat_type = all["natType"].get<std::string>();
  if (all.at("interface").is_string()) report.ifname = all["interface"].get<std::string>();
  report.addresses = addresses(all.at("addresses"));
  report.dns = addresses(all.at("dns"));
  report.mtu = all.at("mtu").get<std::uint32_t>();
  report.connected_since = time_of(all.at("connectedSince"));
  report.last_handshake = time_of(all.at("lastHandshake"));
  report.sent_bytes = all.at("bytes").at("sent").get<std::uint64_t>();
  report.received_bytes = all.at("bytes").at("received").get<std::uint64_t>();
  report.sent_mbps = all.at("throughputMbps").at("sent").get<double>();
  report.received_mbps = all.at("throughputMbps").at("received").get<double>();
  if (all.at("relayRoundTripMs").is_number()) report.relay_round_trip_ms = all["relayRoundTripMs"].get<double>();
  report.relay_jitter_ms = all.at("relayJitterMs").get<double>();
  report.dropped_packets = all.at("droppedPackets").get<std::uint64_t>();
  report.reconnects = all.at("reconnects").get<std::uint64_t>();
  if (all.at("trouble").is_string()) report.trouble = all["trouble"].get<std::string>();
  return report;
} catch (const Json::exception&) {
  return std::nullopt;
}

Outcome<std::optional<ConnectionReport>> ask_report(const StateDirectory& state) {
  const auto answer = runtime::control_request(state.control_socket(), std::string(kStatusRequest), kAnswerDeadline);
  if (!answer) {
    if (nobody_there(answer.error())) return std::optional<ConnectionReport>();
    return Failure::of(answer.error(), "cannot ask the running connect");
  }
  auto report = parse_report(*answer);
  if (!report)
    return Failure{
        ExitCode::kFailure, "the running connect gave no sensible answer", "is it another version?", false, {}};
  return std::optional(std::move(report));
}

Outcome<bool> ask_disconnect(const StateDirectory& state) {
  const auto holder = runtime::LockFile::holder(state.connect_lock());
  if (!holder) return false;
  const auto answer =
      runtime::control_request(state.control_socket(), std::string(kDisconnectRequest), kAnswerDeadline);
  // It may be starting (no socket yet) or ending (no socket any more): a signal says the same.
  if (!answer && ::kill(*holder, SIGTERM) != 0 && errno == EPERM) {
    return Failure{ExitCode::kNotPermitted,
                   "the running connect belongs to another user",
                   "run it as root: sudo higgsvpn disconnect",
                   false,
                   {}};
  }
  if (!wait_until_gone(*holder)) {
    return Failure{ExitCode::kFailure,
                   "the running connect does not end",
                   "end it: kill -9 " + std::to_string(*holder) + ", then: higgsvpn disconnect",
                   false,
                   {}};
  }
  return true;
}

}  // namespace higgs::vpn
