// This server among the others of its store: says that it lives and which nodes are linked to it, knows who else is
// there, and finds the way to nodes of other servers for the relay. A server that stands alone does the same, and finds
// nobody.
//
// Any thread, but for start(), change_pin(), drain() and stop(): the owner's.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "bosonserver/cluster/cascade_dialer.h"
#include "bosonserver/cluster/node_locator.h"
#include "bosonserver/cluster/process_load.h"
#include "bosonserver/cluster/server_directory.h"
#include "bosonserver/server/node_watch.h"
#include "bosonserver/server/store_worker.h"

namespace higgs::boson {

struct Services;

class Cluster final : public NodeWatch {
 public:
  Cluster(Store& store, Presence& presence, EventBus& bus, std::function<Now()> clock, ServerId self);
  ~Cluster() override;

  ClusterView& view() noexcept { return directory_; }

  /// From here on the others know of this server. `sessions`: how many the relay may hold.
  void start(boost::asio::io_context& context, Services& services, RelayServer& relay, ServerEntry self,
             std::size_t sessions);
  /// Of this server's new certificate: the others are told at once.
  void change_pin(std::string pin);
  /// The relay drains: the others are told at once.
  void drain();
  /// The relay is about to end: it is not called any more, but may still call.
  void detach();
  /// The relay has ended. Says good-bye.
  void stop();

  void node_up(NodeId node) override;
  void node_down(NodeId node) override;
  void node_wanted(NodeId node) override;
  void server_link_wanted(ServerId server, unsigned own_worker, unsigned peer_worker) override;

 private:
  void announce();
  void tell_relay(NodeId node, const std::optional<ServerEntry>& server);
  void on_event(const std::string& topic, const std::string& payload);

  EventBus& bus_;
  const std::function<Now()> clock_;
  ServerDirectory directory_;
  NodeLocator locator_;
  ProcessLoad load_;
  ServerEntry self_;
  std::size_t sessions_ = 1;
  Services* services_ = nullptr;
  std::mutex mutex_;
  RelayServer* relay_ = nullptr;  // guarded by mutex_
  std::optional<CascadeDialer> dialer_;
  std::optional<StoreWorker> worker_;
  std::unique_ptr<EventSubscription> subscription_;
};

}  // namespace higgs::boson
