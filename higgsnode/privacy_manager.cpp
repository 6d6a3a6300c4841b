#include "higgsnode/privacy_manager.h"

namespace higgs::node {

std::string PrivacyManager::address(const IpAddress& address) const {
  const auto plain = address.unmapped();
  if (!settings_.anonymize_ips) return plain.to_string();
  return IpPrefix::make(plain, plain.is_v6() ? 48 : 24)->to_string();
}

}  // namespace higgs::node
