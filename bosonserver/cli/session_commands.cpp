#include "bosonserver/cli/session_commands.h"

#include <stdexcept>

namespace higgs::boson {
namespace {

using Json = Console::Json;

constexpr const char* kSessionExamples = R"(Examples:
  bosonserver session list --live
  bosonserver session end 0d4a6c1e-…)";
constexpr const char* kSessionListExamples = R"(Examples:
  bosonserver session list --live                        # those that stand
  bosonserver session list --limit 1000 --json | jq -r '.[].userId' | sort | uniq -c
Newest first; never a destination.)";
constexpr const char* kSessionEndExamples = "Example:\n  bosonserver session end 0d4a6c1e-…";

Json json_of(const SessionRow& session) {
  Json json{{"sessionId", to_string(session.id)},
            {"userId", to_string(session.user)},
            {"nodeId", to_string(session.node)},
            {"startedAt", session.started_at},
            {"endedAt", nullptr},
            {"endReason", session.end_reason},
            {"bytesToNode", session.bytes_to_node},
            {"bytesToClient", session.bytes_to_client},
            {"path", session.path}};
  if (session.ended_at) json["endedAt"] = *session.ended_at;
  return json;
}

}  // namespace

SessionCommands::SessionCommands(CommandTable& table) {
  auto& group = table.add_group("session", "tunnels, also while servers run", kSessionExamples);
  auto& list_command = table.add(group, "list", "list tunnels, newest first", kSessionListExamples,
                                 [this](Console& console) { return list(console); });
  list_command.add_option("--limit", limit_, "at most so many")->check(CLI::Range(1, 1'000'000));
  list_command.add_flag("--live", live_, "only those that stand");
  table.add(group, "end", "end a tunnel", kSessionEndExamples, [this](Console& console) { return end(console); })
      .add_option("ID", id_, "session id")
      ->required();
}

int SessionCommands::list(Console& console) const {
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (std::optional<SessionId> before; rows.size() < limit_;) {
    const auto page = must(console.store().sessions(before, kMaxPage));
    for (const auto& session : page) {
      if ((live_ && session.ended_at) || rows.size() == limit_) continue;
      all.push_back(json_of(session));
      rows.push_back({to_string(session.id), to_string(session.user), to_string(session.node),
                      time_text(session.started_at), session.ended_at ? session.end_reason : session.path});
    }
    if (page.size() < kMaxPage) break;
    before = page.back().id;
  }
  return console.answer(all, table({"ID", "USER", "NODE", "STARTED", "PATH OR END"}, rows));
}

int SessionCommands::end(Console& console) const {
  const auto id = Console::id<SessionId>(id_, "session");
  console.begin("session.end", to_string(id));
  const auto session = console.store().session(id);
  if (!session && session.error() == StoreError::kNotFound) throw std::runtime_error("there is no session " + id_);
  must(session);
  const bool stood = must(console.store().end_session(id, "ended", console.now()));
  console.audit(stood ? "ok" : "had ended");
  return console.answer(json_of(must(console.store().session(id))), stood ? "ended " + id_ : id_ + " had ended before");
}

}  // namespace higgs::boson
