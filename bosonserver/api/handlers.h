// The handlers of the endpoint table; each answers one row.
#pragma once

#include "bosonserver/api/call.h"
#include "net/http.h"

namespace higgs::boson {

// node_handlers.cpp
net::HttpResponse create_challenge(Call& call);
net::HttpResponse register_node(Call& call);
net::HttpResponse heartbeat(Call& call);
// node_list_handlers.cpp
net::HttpResponse list_nodes(Call& call);
net::HttpResponse get_node(Call& call);
// metrics_handlers.cpp
net::HttpResponse report_metrics(Call& call);
// routing_handlers.cpp
net::HttpResponse request_route(Call& call);
// session_handlers.cpp
net::HttpResponse end_session(Call& call);
net::HttpResponse renew_session(Call& call);
net::HttpResponse list_sessions(Call& call);
// auth_handlers.cpp
net::HttpResponse login(Call& call);
net::HttpResponse login_by_certificate(Call& call);
net::HttpResponse refresh(Call& call);
net::HttpResponse logout(Call& call);
// password_handlers.cpp
net::HttpResponse change_password(Call& call);
// totp_handlers.cpp
net::HttpResponse enrol_totp(Call& call);
net::HttpResponse confirm_totp(Call& call);
net::HttpResponse disable_totp(Call& call);
// invite_handlers.cpp
net::HttpResponse create_invite(Call& call);
net::HttpResponse list_invites(Call& call);
net::HttpResponse delete_invite(Call& call);
net::HttpResponse sign_up(Call& call);
// api_key_handlers.cpp
net::HttpResponse list_api_keys(Call& call);
net::HttpResponse create_api_key(Call& call);
net::HttpResponse delete_api_key(Call& call);
net::HttpResponse list_user_api_keys(Call& call);
net::HttpResponse delete_user_api_key(Call& call);
// user_handlers.cpp
net::HttpResponse list_users(Call& call);
net::HttpResponse create_user(Call& call);
net::HttpResponse get_user(Call& call);
net::HttpResponse update_user(Call& call);
net::HttpResponse delete_user(Call& call);
// admin_handlers.cpp
net::HttpResponse approve_node(Call& call);
net::HttpResponse ban_node(Call& call);
net::HttpResponse create_action(Call& call);
net::HttpResponse list_actions(Call& call);
net::HttpResponse list_audit(Call& call);
// allowlist_handlers.cpp
net::HttpResponse list_allow_entries(Call& call);
net::HttpResponse create_allow_entry(Call& call);
net::HttpResponse delete_allow_entry(Call& call);
// service_handlers.cpp
net::HttpResponse health(Call& call);
net::HttpResponse ready(Call& call);
net::HttpResponse key_set(Call& call);
net::HttpResponse openapi(Call& call);

}  // namespace higgs::boson
