#include "bosonserver/server/scrape.h"

#include "base/version.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/cache/shared_state.h"
#include "bosonserver/relay/relay_server.h"
#include "bosonserver/server/overload_gate.h"
#include "bosonserver/server/path_statistics.h"
#include "bosonserver/server/relay_meter.h"
#include "bosonserver/server/session_endings.h"
#include "bosonserver/server/store_worker.h"
#include "bosonserver/server/turn_desk.h"
#include "bosonserver/stun/stun_server.h"
#include "net/http_server.h"
#include "net/tracing.h"
#include "runtime/blocking_pool.h"
#include "runtime/log.h"
#include "runtime/memory_use.h"

namespace higgs::boson {
namespace {

class Samples {
 public:
  void gauge(std::string name, std::string help, double value) { add(std::move(name), std::move(help), value, false); }
  void counter(std::string name, std::string help, double value) { add(std::move(name), std::move(help), value, true); }
  void labelled(std::string name, std::string help, bool counter, std::string label, std::string label_value,
                double value) {
    list.push_back({std::move(name), std::move(help), value, counter, std::move(label), std::move(label_value), {}});
  }
  void latency(std::string name, std::string help, const LatencyBuckets& latency) {
    list.push_back({std::move(name), std::move(help), 0, false, {}, {}, latency});
  }
  std::vector<Sample> list;

 private:
  void add(std::string name, std::string help, double value, bool counter) {
    list.push_back({std::move(name), std::move(help), value, counter, {}, {}, {}});
  }
};

void add_relay(Samples& out, const RelayStats& relay) {
  out.labelled("higgs_relay_links", "Standing links", false, "kind", "node", static_cast<double>(relay.node_links));
  out.labelled("higgs_relay_links", "Standing links", false, "kind", "client", static_cast<double>(relay.client_links));
  out.labelled("higgs_relay_links", "Standing links", false, "kind", "server", static_cast<double>(relay.server_links));
  out.gauge("higgs_relay_sessions", "Standing sessions", static_cast<double>(relay.sessions));
  out.gauge("higgs_relay_ready_sessions", "Sessions that their node serves", static_cast<double>(relay.ready_sessions));
  out.gauge("higgs_relay_queued_bytes", "Bytes that wait", static_cast<double>(relay.queued_bytes));
  out.counter("higgs_relay_messages_total", "Batches forwarded", static_cast<double>(relay.messages));
  out.counter("higgs_relay_packets_total", "Packets forwarded", static_cast<double>(relay.packets));
  out.counter("higgs_relay_bytes_total", "Bytes forwarded", static_cast<double>(relay.bytes));
  for (std::size_t i = 0; i < relay::kDropReasons; ++i) {
    const auto reason = static_cast<relay::DropReason>(i);
    out.labelled("higgs_relay_dropped_packets_total", "Packets dropped", true, "reason",
                 std::string(relay::to_string(reason)), static_cast<double>(relay.drops[reason]));
  }
  out.latency("higgs_relay_queue_delay_seconds", "How long those messages waited that had to", relay.delay.waits);
  out.counter("higgs_relay_malformed_total", "Links closed for malformed messages",
              static_cast<double>(relay.malformed));
  out.counter("higgs_relay_unresponsive_total", "Links given up", static_cast<double>(relay.unresponsive));
  out.counter("higgs_relay_replaced_total", "Links replaced", static_cast<double>(relay.replaced));
  out.gauge("higgs_relay_cascaded_sessions", "Sessions over a link between servers",
            static_cast<double>(relay.cascaded_sessions));
  out.counter("higgs_relay_moved_sessions_total", "Sessions whose client came back over another server",
              static_cast<double>(relay.moved_sessions));
  out.counter("higgs_relay_refused_server_links_total", "Links between servers over their limit",
              static_cast<double>(relay.refused_server_links));
  out.counter("higgs_relay_refused_cascades_total", "Sessions of other servers that were refused",
              static_cast<double>(relay.refused_cascades));
}

void add_meter(Samples& out, const RelayMeterStats& meter) {
  out.gauge("higgs_relay_users_over_quota", "Users with sessions here whose relay quota is used up",
            static_cast<double>(meter.over_quota));
  out.gauge("higgs_relay_usage_unsaved_bytes", "Relayed bytes that are to be added to their users' usage",
            static_cast<double>(meter.unsaved_bytes));
  out.counter("higgs_relay_unmetered_links_total", "Links whose bytes are not counted for anybody, for a limit",
              static_cast<double>(meter.unmetered));
}

void add_endings(Samples& out, const SessionEndings& endings) {
  out.gauge("higgs_relay_unsaved_sessions", "Ended sessions whose bytes are to be written to the store",
            static_cast<double>(endings.waiting()));
  out.counter("higgs_relay_lost_sessions_total", "Ended sessions whose bytes were not kept, for a limit",
              static_cast<double>(endings.lost()));
}

void add_paths(Samples& out, const PathStatistics& paths) {
  const auto standing = paths.standing();
  for (std::size_t i = 0; i < standing.size(); ++i)
    out.labelled("higgs_session_paths", "Standing sessions by the path they take", false, "path",
                 std::string(PathStatistics::kLabels[i]), static_cast<double>(standing[i]));
}

void add_stun(Samples& out, const StunStats& stun) {
  const auto add = [&](const char* outcome, std::uint64_t count) {
    out.labelled("higgs_stun_datagrams_total", "Datagrams by outcome", true, "outcome", outcome,
                 static_cast<double>(count));
  };
  add("answered", stun.answered);
  add("refused", stun.refused);
  add("malformed", stun.malformed);
  add("ignored", stun.ignored);
  add("turn", stun.handed_on);
  add("rate_limited", stun.rate_limited);
}

void add_turn(Samples& out, const TurnDesk& desk) {
  if (desk.service() == nullptr) return;
  const auto stats = desk.service()->stats();
  const auto& server = stats.server;
  const auto requests = [&](const char* outcome, std::uint64_t count) {
    out.labelled("higgs_turn_requests_total", "TURN requests by outcome", true, "outcome", outcome,
                 static_cast<double>(count));
  };
  const auto dropped = [&](const char* reason, std::uint64_t count) {
    out.labelled("higgs_turn_dropped_packets_total", "Packets that TURN did not relay", true, "reason", reason,
                 static_cast<double>(count));
  };
  out.gauge("higgs_turn_allocations", "Standing allocations", static_cast<double>(stats.allocations));
  out.gauge("higgs_turn_connections", "TCP and TLS connections", static_cast<double>(stats.connections));
  requests("allocated", server.allocations);
  requests("refreshed", server.refreshes);
  requests("permitted", server.permissions);
  requests("channel_bound", server.channels);
  requests("bad_request", server.bad_request);
  requests("unauthorized", server.unauthorized);
  requests("forbidden_peer", server.forbidden_peer);
  requests("unknown_attribute", server.unknown_attribute);
  requests("mismatch", server.mismatch);
  requests("stale_nonce", server.stale_nonce);
  requests("unsupported_family", server.unsupported_family);
  requests("wrong_user", server.wrong_user);
  requests("unsupported_transport", server.unsupported_transport);
  requests("peer_family_mismatch", server.peer_family);
  requests("over_quota", server.over_quota);
  requests("no_capacity", server.no_capacity);
  requests("unanswered", server.unanswered);
  const auto ended = [&](const char* why, std::uint64_t count) {
    out.labelled("higgs_turn_ended_total", "Allocations that ended", true, "reason", why, static_cast<double>(count));
  };
  ended("expired", server.expired);
  ended("deleted", server.deleted);
  ended("revoked", server.revoked);
  out.counter("higgs_turn_relayed_packets_total", "Packets relayed, both ways",
              static_cast<double>(server.relayed_packets));
  out.counter("higgs_turn_relayed_bytes_total", "Their payload", static_cast<double>(server.relayed_bytes));
  dropped("no_permission", server.dropped_no_permission);
  dropped("rate", server.dropped_rate);
  dropped("malformed", server.dropped_malformed);
  dropped("send_failed", stats.ports.send_failures);
  dropped("truncated", stats.ports.truncated);
  dropped("stream_full", stats.streams.dropped_full);
  const auto streams = [&](const char* outcome, std::uint64_t count) {
    out.labelled("higgs_turn_streams_total", "TCP and TLS connections by outcome", true, "outcome", outcome,
                 static_cast<double>(count));
  };
  streams("accepted", stats.streams.accepted);
  streams("refused", stats.streams.refused);
  streams("timed_out", stats.streams.timeouts);
  streams("malformed", stats.streams.malformed);
  const auto sessions = desk.session_counters();
  out.counter("higgs_turn_refused_sessions_total", "Sessions over the limit",
              static_cast<double>(sessions.refused_sessions));
  out.counter("higgs_turn_refused_candidates_total", "Announced addresses that were refused",
              static_cast<double>(sessions.refused_candidates));
  out.counter("higgs_turn_replaced_candidates_total", "Announced addresses that took the place of earlier ones",
              static_cast<double>(sessions.replaced_candidates));
}

/// One family for both ways that lead over the server; the ways beside it are counted by nodes alone.
void add_relayed(Samples& out, const RelayStats& relay, const TurnDesk& desk) {
  const auto add = [&](const char* path, std::uint64_t packets, std::uint64_t bytes) {
    out.labelled("higgs_relayed_packets_total", "Packets that passed this server, by path", true, "path", path,
                 static_cast<double>(packets));
    out.labelled("higgs_relayed_bytes_total", "Bytes that passed this server, by path", true, "path", path,
                 static_cast<double>(bytes));
  };
  add("relay", relay.packets, relay.bytes);
  const auto turn = desk.service() == nullptr ? turn::ServerCounters{} : desk.service()->stats().server;
  add("turn", turn.relayed_packets, turn.relayed_bytes);
}

void add_http(Samples& out, const net::HttpServerStats& http) {
  out.gauge("higgs_http_connections", "Open connections", static_cast<double>(http.open));
  out.counter("higgs_http_accepted_total", "Connections accepted", static_cast<double>(http.accepted));
  out.counter("higgs_http_refused_total", "Connections over a limit", static_cast<double>(http.refused));
  out.counter("higgs_http_handshake_failures_total", "TLS handshakes that failed",
              static_cast<double>(http.handshake_failures));
  out.counter("higgs_http_refused_handshakes_total", "TLS handshakes over the limits of an address",
              static_cast<double>(http.refused_handshakes));
  out.counter("higgs_http_held_total",
              "Answers to requests that came too often, after which the connection had to wait",
              static_cast<double>(http.held));
  out.counter("higgs_http_refused_for_memory_total", "Connections and requests refused because memory was short",
              static_cast<double>(http.refused_for_memory));
  out.counter("higgs_http_timeouts_total", "Clients that took too long", static_cast<double>(http.timeouts));
  out.counter("higgs_http_bad_proxy_headers_total", "Connections from proxies that did not say for whom",
              static_cast<double>(http.bad_proxy_headers));
  out.counter("higgs_http_bad_requests_total", "Requests that were none", static_cast<double>(http.bad_requests));
}

void add_replica(Samples& out, const ReplicaStats& replica) {
  out.gauge("higgs_store_replica_up", "Whether the store's replica is read", replica.up ? 1 : 0);
  if (replica.age) out.gauge("higgs_store_replica_lag_seconds", "How old what it has is at most", replica.age->count());
  const auto reads = [&](const char* place, std::uint64_t count) {
    out.labelled("higgs_store_old_reads_total", "Reads of what may be a moment old, by who answered", true, "place",
                 place, static_cast<double>(count));
  };
  reads("replica", replica.reads);
  reads("primary", replica.passed_reads);
}

void add_nodes(Samples& out, Services& services) {
  auto nodes = services.store.nodes_by_status();
  const auto stats = services.store.stats();
  const bool up = nodes && (!stats.replica || services.store.ping());
  out.gauge("higgs_store_up", "Whether the store answers", up ? 1 : 0);
  if (stats.replica) add_replica(out, *stats.replica);
  out.gauge("higgs_store_connections", "Connections to the store's database", static_cast<double>(stats.connections));
  out.latency("higgs_store_call_duration_seconds", "How long calls to the store took, with waiting for a connection",
              stats.calls);
  out.counter("higgs_store_failed_calls_total", "Calls that the store could not answer",
              static_cast<double>(stats.failed_calls));
  out.counter("higgs_store_retries_total", "Transactions that met another and were tried again",
              static_cast<double>(stats.retries));
  out.counter("higgs_store_lost_connections_total", "Connections that broke or did not answer in time",
              static_cast<double>(stats.lost_connections));
  out.counter("higgs_store_event_gaps_total", "Times that changes made elsewhere may have been missed",
              static_cast<double>(stats.event_gaps));
  const auto grace = services.grace.stats();
  out.counter("higgs_store_grace_renewals_total", "Sessions renewed while the store was away",
              static_cast<double>(grace.renewals));
  out.counter("higgs_store_grace_links_total", "Relay links granted while the store was away",
              static_cast<double>(grace.links));
  out.counter("higgs_store_grace_forgotten_total", "What was not remembered any more because of a limit",
              static_cast<double>(grace.forgotten));
  out.gauge("higgs_store_grace_unsettled", "Renewals that wait to be written", static_cast<double>(grace.unsettled));
  const auto heartbeats = services.heartbeats.stats();
  out.counter("higgs_heartbeats_from_memory_total", "Heartbeats that were answered without the store",
              static_cast<double>(heartbeats.from_memory));
  out.counter("higgs_heartbeats_alone_total", "Heartbeats that cost a call of the store each",
              static_cast<double>(heartbeats.alone));
  out.gauge("higgs_heartbeats_waiting", "Heartbeats that wait to be written", static_cast<double>(heartbeats.waiting));
  if (!nodes) return;
  using enum api::NodeStatus;
  for (const auto status : {kOnline, kDegraded, kOffline, kPending, kBanned})
    out.labelled("higgs_nodes", "Nodes by status", false, "status", std::string(api::to_string(status)),
                 static_cast<double>((*nodes)[status]));
  if (const auto sessions = services.store.live_sessions())
    out.gauge("higgs_sessions", "Sessions that have not ended", static_cast<double>(*sessions));
}

void add_cache(Samples& out, const SharedState& shared) {
  const auto events = shared.event_stats();
  out.gauge("higgs_cache_up", "Whether the shared cache can be reached and other servers are heard",
            shared.connected() ? 1 : 0);
  const auto event = [&](const char* reason, std::uint64_t count) {
    out.labelled("higgs_cache_events_lost_total", "Events between servers that did not reach all", true, "reason",
                 reason, static_cast<double>(count));
  };
  event("slow_handler", events.dropped);
  event("unpublished", events.lost);
  event("malformed", events.malformed);
  const auto redis = shared.redis();
  if (!redis) return;
  out.counter("higgs_cache_commands_total", "Commands to Redis", static_cast<double>(redis->commands));
  out.counter("higgs_cache_failures_total", "Of them without an answer, or refused",
              static_cast<double>(redis->failures));
  out.latency("higgs_cache_call_duration_seconds", "How long callers waited for Redis", redis->calls);
  out.counter("higgs_cache_timeouts_total", "Connections to Redis given up because it did not answer",
              static_cast<double>(redis->timeouts));
  out.counter("higgs_cache_reconnects_total", "Connections to Redis that were made again",
              static_cast<double>(redis->reconnects));
  out.counter("higgs_cache_dropped_total", "Commands over a limit of ours", static_cast<double>(redis->dropped));
}

void add_pool(Samples& out, const char* name, const runtime::BlockingPool& pool) {
  out.labelled("higgs_pool_queued", "Calls that wait for a thread", false, "pool", name,
               static_cast<double>(pool.queued()));
  out.labelled("higgs_pool_refused_total", "Calls refused because the queue was full", true, "pool", name,
               static_cast<double>(pool.refused()));
}

void add_limits(Samples& out, const ScrapeSources& sources) {
  const auto& overload = sources.overload;
  out.gauge("higgs_overload_level", "How many classes of requests are refused at present",
            static_cast<double>(overload.level()));
  out.gauge("higgs_loop_lag_seconds", "How late the control plane is",
            std::chrono::duration<double>(overload.loop_lag()).count());
  for (const Work work : {Work::kAnonymous, Work::kList, Work::kRoute, Work::kRenewal})
    out.labelled("higgs_overload_refused_total", "Requests refused because there was too much to do", true, "class",
                 std::string(to_string(work)), static_cast<double>(overload.refused(work)));
  for (std::size_t i = 0; i < kRateScopes.size(); ++i)
    out.labelled("higgs_rate_limited_total", "Requests over a limit a minute", true, "of", std::string(kRateScopes[i]),
                 static_cast<double>(sources.services.rate_refusals.of(static_cast<RateScope>(i))));
  out.gauge("higgs_memory_bytes", "Resident memory", static_cast<double>(runtime::resident_bytes()));
  out.gauge("higgs_memory_limit_bytes", "limits.memory", static_cast<double>(sources.memory_limit_bytes));
}

void add_tracing(Samples& out, const net::Tracing& tracing) {
  const auto stats = tracing.stats();
  if (!stats) return;
  const auto spans = [&](const char* outcome, std::uint64_t count) {
    out.labelled("higgs_trace_spans_total", "Recorded spans by what became of them", true, "outcome", outcome,
                 static_cast<double>(count));
  };
  spans("exported", stats->exported);
  spans("refused", stats->refused);
  spans("failed", stats->failed);
  spans("dropped", tracing.dropped());
}

void add_process(Samples& out, WallTime started) {
  out.labelled("higgs_build_info", "1; the version of this build", false, "version", kHiggsVersion, 1);
  out.gauge("process_start_time_seconds", "Unix time of the start",
            std::chrono::duration<double>(started.time_since_epoch()).count());
  const auto counts = runtime::log::counts();
  out.labelled("higgs_log_lines_total", "Lines for the log by level", true, "level", "warn",
               static_cast<double>(counts.warnings));
  out.labelled("higgs_log_lines_total", "Lines for the log by level", true, "level", "error",
               static_cast<double>(counts.errors));
}

}  // namespace

net::HttpResponse scrape(const net::HttpRequest& request, const ServerMetrics& metrics, const ScrapeSources& sources) {
  if (request.path != "/metrics") return not_found("endpoint");
  if (request.method != "GET") {
    auto response = problem_answer(405, "method-not-allowed", "The method is not allowed here");
    response.headers.set("Allow", "GET");
    return response;
  }
  Samples out;
  add_process(out, sources.started);
  add_nodes(out, sources.services);
  add_cache(out, sources.shared);
  add_relay(out, sources.relay.stats());
  add_meter(out, sources.meter.stats());
  add_endings(out, sources.endings);
  add_paths(out, sources.paths);
  add_stun(out, sources.stun.stats());
  add_turn(out, sources.turn);
  add_relayed(out, sources.relay.stats(), sources.turn);
  add_http(out, sources.http.stats());
  add_pool(out, "store", sources.store_pool);
  add_pool(out, "password", sources.password_pool);
  add_limits(out, sources);
  add_tracing(out, sources.tracing);
  out.counter("higgs_background_dropped_total", "Background jobs dropped at the limit",
              static_cast<double>(sources.worker.dropped()));
  net::HttpResponse response;
  response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  response.body = metrics.text(out.list);
  return response;
}

}  // namespace higgs::boson
