// Deletes an iptables table of the nf_tables back end, with its built-in chains, if and only if it holds nothing.
// iptables-nft makes a table the first time anything is put into it and never takes it away, which would leave a trace
// of us in `iptables-save`. Done by netlink with NLM_F_NONREC: the kernel itself refuses if somebody put a rule there
// meanwhile. With the legacy back end tables cannot be deleted, and this does nothing.
#pragma once

#include <string>

namespace higgs::tunnel {

/// The caller has seen that policies are ACCEPT. True if the table is gone.
bool delete_empty_nft_table(bool v6, const std::string& table);

}  // namespace higgs::tunnel
