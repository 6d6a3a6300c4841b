// Does at this server what was decided at another: sessions that ended leave the relay and TURN, banned nodes lose
// their link, and what is kept of nodes and keys is read again. Told by the store itself (store/store_events.h).
#pragma once

#include <functional>
#include <memory>

#include "bosonserver/api/services.h"
#include "bosonserver/store/store_events.h"

namespace higgs::boson {

class StoreWatch {
 public:
  /// `post` hands a job to a thread that may call the store. Both must outlive the watch.
  StoreWatch(Services& services, std::function<void(std::function<void()>)> post);

 private:
  void on_event(const StoreEvent& event);
  void end_sessions(const std::vector<SessionId>& sessions, const std::string& reason);
  void ban_nodes(const std::vector<NodeId>& nodes);
  /// After a gap: what became of sessions and nodes meanwhile.
  void look_again(std::chrono::seconds gap);
  void refresh_keys();

  Services& services_;
  const std::function<void(std::function<void()>)> post_;
  std::unique_ptr<StoreSubscription> subscription_;  // last: it ends before what it calls
};

}  // namespace higgs::boson
