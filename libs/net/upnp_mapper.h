// Keeps one UDP port mapped by UPnP on a thread of its own, because the library blocks: looks for the gateway, maps,
// looks every few seconds whether the mapping stands, renews at half the lease, and removes at the end.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "net/upnp_gateway.h"

namespace higgs::net {

struct UpnpReport {
  std::optional<Endpoint> external;
  std::chrono::seconds lifetime{0};
  std::string failure;
};

class UpnpMapper {
 public:
  /// `changed` is called on the mapper's thread.
  UpnpMapper(UpnpGateway::Options options, std::chrono::seconds check, std::function<void()> changed);
  /// Removes the mapping, if there is one. Waits until `release(deadline)` said; a call into the library that lasts
  /// longer is left to end by itself, since nothing can interrupt it; it touches nothing of ours then.
  ~UpnpMapper();

  UpnpReport report() const;
  /// Looks at once whether the mapping stands.
  void refresh();
  /// Begins to remove the mapping; the destructor waits at most until then.
  void release(Instant deadline);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace higgs::net
