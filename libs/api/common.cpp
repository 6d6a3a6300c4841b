#include "api/common.h"

#include "api/describe_common.h"

namespace higgs::api {

std::string_view to_string(NatType type) { return codec::Names<NatType>::kAll[static_cast<std::size_t>(type)]; }
std::optional<NatType> parse_nat_type(std::string_view name) { return codec::parse_name<NatType>(name); }
std::string_view to_string(Role role) { return codec::Names<Role>::kAll[static_cast<std::size_t>(role)]; }
std::optional<Role> parse_role(std::string_view name) { return codec::parse_name<Role>(name); }

template <class V, Like<Message> S>
void describe(V& v, S& s) {
  v("message", s.message);
}

HIGGS_API_BODY(Message)
HIGGS_API_BODY(Location)

std::string RelayServer::origin() const {
  const bool v6 = host.find(':') != host.npos && !host.starts_with('[');
  return "https://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace higgs::api
