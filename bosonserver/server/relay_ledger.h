// Takes down what the relay reports: bytes of sessions, refusals, links of nodes that come and go.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>

#include "bosonserver/api/services.h"
#include "bosonserver/relay/relay_events.h"
#include "bosonserver/server/node_watch.h"
#include "bosonserver/server/path_statistics.h"
#include "bosonserver/server/relay_meter.h"
#include "bosonserver/server/server_traces.h"
#include "bosonserver/server/session_endings.h"
#include "bosonserver/server/turn_desk.h"

namespace higgs::boson {

class RelayLedger final : public RelayEvents {
 public:
  /// `post` hands a job to a thread that may call the store.
  RelayLedger(Services& services, std::function<void(std::function<void()>)> post, TurnDesk& turn,
              PathStatistics& paths, NodeWatch& nodes, RelayMeter& meter, ServerTraces& traces)
      : services_(services),
        post_(std::move(post)),
        turn_(turn),
        statistics_(paths),
        nodes_(nodes),
        meter_(meter),
        traces_(traces),
        endings_(services.store) {}

  /// What the store has not taken yet of ended sessions; a thread that `post` hands jobs to.
  void write_endings();
  const SessionEndings& endings() const noexcept { return endings_; }

  void on_session_opened(SessionId session, NodeId node) override;
  void on_session_ready(SessionId session, NodeId node) override;
  void on_session_refused(SessionId session, NodeId node, relay::RefusalReason reason) override;
  void on_session_ended(SessionId session, NodeId node, relay::CloseReason reason, SessionBytes bytes) override;
  void on_candidate(SessionId session, const IpAddress& address) override;
  void on_path_changed(SessionId session, std::string_view path) override;
  void on_node_up(NodeId node) override;
  void on_node_down(NodeId node) override;
  void on_node_wanted(NodeId node) override;
  void on_server_link_wanted(ServerId server, unsigned own_worker, unsigned peer_worker) override;
  void on_server_link_up(const relay::ServerLink& link) override;
  void on_server_link_down(const relay::ServerLink& link) override;

 private:
  void restore_turn(SessionId session);
  void write_path(SessionId session);

  Services& services_;
  const std::function<void(std::function<void()>)> post_;
  TurnDesk& turn_;
  PathStatistics& statistics_;
  NodeWatch& nodes_;
  RelayMeter& meter_;
  ServerTraces& traces_;
  SessionEndings endings_;
  std::mutex mutex_;
  /// Told and not yet written; what comes meanwhile replaces it, so that a session has one job at most.
  std::unordered_map<SessionId, std::string> paths_;  // guarded by mutex_
};

}  // namespace higgs::boson
