// What of a person may reach a log: addresses cut to a network, sessions only where metadata may be logged; never a
// destination, which no part of this program even asks for.
#pragma once

#include <string>

#include "base/ip.h"
#include "higgsnode/settings.h"

namespace higgs::node {

class PrivacyManager {
 public:
  explicit PrivacyManager(const PrivacySettings& settings) : settings_(settings) {}

  /// "192.0.2.0/24", "2001:db8::/48", or the address where the volunteer wants it whole.
  std::string address(const IpAddress& address) const;
  bool logs_sessions() const noexcept { return settings_.log_metadata; }

 private:
  PrivacySettings settings_;
};

}  // namespace higgs::node
