#include "api/account.h"
#include "api/routing.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/paging.h"
#include "bosonserver/api/tokens.h"

namespace higgs::boson {
namespace {

/// The caller's own session, or, for operators where they may, anybody's. Another's looks like none at all.
enum class Whose { kOwn, kAnybodysForOperators };
std::optional<net::HttpResponse> find_session(const Call& call, std::optional<Known<SessionRow>>& session,
                                              Whose whose) {
  const auto id = call.id<SessionId>();
  if (!id) return not_found("session");
  auto found = call.services.grace.session(*id, call.now);
  if (!found) return store_failure(found.error(), "session");
  const bool may_others = whose == Whose::kAnybodysForOperators && call.role >= api::Role::kOperator;
  if (found->value.user != call.user->id && !may_others) return not_found("session");
  session = std::move(*found);
  return std::nullopt;
}

}  // namespace

net::HttpResponse end_session(Call& call) {
  std::optional<Known<SessionRow>> found;
  auto refused = find_session(call, found, Whose::kAnybodysForOperators);
  // Unless it is the operator's own it is an act of administration, and in the audit also where there is no such
  // session.
  const bool is_own = found && found->value.user == call.user->id;
  if (call.role >= api::Role::kOperator && !is_own) call.act = "session.end";
  if (refused) return std::move(*refused);
  const auto& session = found->value;
  call.act_object = to_string(session.id);
  const auto ended = call.services.store.end_session(session.id, "ended", call.seconds());
  if (!ended) return store_failure(ended.error(), "session");
  session_over(call.services, session.id, relay::CloseReason::kEnded);
  if (!is_own) call.audit_act("ok");
  return no_content();
}

net::HttpResponse renew_session(Call& call) {
  std::optional<Known<SessionRow>> found;
  if (auto refused = find_session(call, found, Whose::kOwn)) return std::move(*refused);
  const auto& session = found->value;
  const bool over = session.ended_at || session.expires_at <= call.seconds();
  const auto gone = [] { return problem_answer(410, "session-ended", "The session has ended", "ask for a new route"); };
  // Another server may have renewed it without the store: then that one knows.
  if (over && found->remembered) return store_failure(StoreError::kUnavailable, "session");
  if (over) return gone();
  const auto wanted = call.seconds() + call.services.settings.session_lifetime.count();
  const auto renewed = call.services.grace.renew_session(session, wanted, call.now);
  if (!renewed && renewed.error() == StoreError::kNotFound) return gone();
  if (!renewed) return store_failure(renewed.error(), "session");
  const auto expires_at = *renewed;
  call.services.relay.renew_session(session.id, from_unix_seconds(expires_at));
  call.services.turn.renew_session(session.id, expires_at);
  const auto token = session_token(call.services, session.id, expires_at, call.now);
  return json_answer(api::SessionRenewal{token.text, token.expires_at});
}

net::HttpResponse list_sessions(Call& call) {
  const auto page = page_of(call);
  if (!page) return bad_query("limit is not a number from 1 to 500");
  std::optional<SessionId> before;
  if (page->cursor && !(before = parse_id<SessionId>(*page->cursor))) return bad_query("cursor is not one of ours");
  const auto rows = call.services.store.sessions(before, page->limit + 1);
  if (!rows && rows.error() == StoreError::kNotFound) return bad_query("cursor is not one of ours");
  if (!rows) return store_failure(rows.error(), "session");
  api::SessionList list;
  for (const auto& row : *rows) {
    if (list.sessions.size() == page->limit) {
      list.next_cursor = to_string(list.sessions.back().session_id);
      break;
    }
    list.sessions.push_back(
        {row.id, row.user, row.node, row.started_at, row.ended_at, row.bytes_to_node, row.bytes_to_client, row.path});
  }
  return json_answer(list);
}

}  // namespace higgs::boson
