// Takes down what the relay reports: bytes of sessions, refusals, links of nodes that come and go.
#pragma once

#include <functional>

#include "bosonserver/api/services.h"
#include "bosonserver/relay/relay_events.h"

namespace higgs::boson {

class RelayLedger final : public RelayEvents {
 public:
  /// `post` hands a job to a thread that may call the store.
  RelayLedger(Services& services, std::function<void(std::function<void()>)> post)
      : services_(services), post_(std::move(post)) {}

  void on_session_opened(SessionId session, NodeId node) override;
  void on_session_ready(SessionId session, NodeId node) override;
  void on_session_refused(SessionId session, NodeId node, relay::RefusalReason reason) override;
  void on_session_ended(SessionId session, NodeId node, relay::CloseReason reason, SessionBytes bytes) override;
  void on_node_up(NodeId node) override;
  void on_node_down(NodeId node) override;

 private:
  Services& services_;
  const std::function<void(std::function<void()>)> post_;
};

}  // namespace higgs::boson
