// One request on its way through a handler: who asks, what for, and with what.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "base/uuid.h"
#include "bosonserver/api/services.h"
#include "jwt/claims.h"
#include "net/http.h"

namespace higgs::boson {

struct Call {
  const net::HttpRequest& request;
  Services& services;
  Now now;
  std::vector<std::string> parameters;    ///< what stood at the places of the path template
  std::optional<jwt::Claims> claims{};    ///< of the token, where the endpoint wants one
  std::optional<UserRecord> user{};       ///< as the store has it now, where the endpoint is for users
  api::Role role = api::Role::kUser;      ///< what counts for this call: the user's, or less where an API key has less
  std::optional<std::string> key_name{};  ///< of the API key, where it is one that calls
  std::string_view act{};                 ///< ApiEndpoint::act
  std::string act_object{};               ///< what the act is on, as the audit names it
  bool act_audited = false;               ///< with what became of it

  std::int64_t seconds() const { return unix_seconds(now.wall); }
  /// nullopt: the path's first parameter is no id.
  template <class Id>
  std::optional<Id> id() const {
    return parameters.empty() ? std::nullopt : parse_id<Id>(parameters.front());
  }
  std::optional<std::string_view> query(std::string_view name) const;
  /// The caller's, IPv4 also where the socket is IPv6.
  IpAddress address() const { return request.remote.address.unmapped(); }
  /// For counting: an IPv6 customer has a /64.
  std::string address_bucket() const;
  template <class T>
  api::Decoded<T> body() const {
    return api::decode<T>(request.body);
  }
  /// "user:NAME", "user:NAME key:KEY", "node:ID" or "anonymous".
  std::string actor() const;
  /// Writes the audit; where that fails, the log has it.
  void audit(std::string_view action, std::string_view object, std::string_view outcome) const;
  /// The same for the act of an administrative endpoint. What its handler refuses and does not tell, the gateway tells.
  void audit_act(std::string_view outcome);
  void audit_as(std::string_view actor, std::string_view action, std::string_view object,
                std::string_view outcome) const;
  /// "https://host:port" for this caller: configured, or its Host header. nullopt where that is none.
  std::optional<std::string> origin() const;
};

}  // namespace higgs::boson
