// Whether this process may change the network.
#pragma once

namespace higgs::vpn {

/// CAP_NET_ADMIN in effect, in this user namespace.
bool can_administer_network();

}  // namespace higgs::vpn
