// What machines ask: health, keys, the API document.
#include "api/account.h"
#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"
#include "bosonserver/api/openapi.h"

namespace higgs::boson {

net::HttpResponse health(Call&) { return json_answer(api::Health{"ok"}); }

net::HttpResponse ready(Call& call) {
  if (call.services.relay.draining()) return json_answer(api::Health{"draining"}, 503);
  if (!call.services.store.ping()) return json_answer(api::Health{"unavailable"}, 503);
  return json_answer(api::Health{"ok"});
}

net::HttpResponse key_set(Call& call) {
  auto response = json_text(200, call.services.keys.keys()->to_jwks());
  response.headers.set("Cache-Control", "public, max-age=300");
  return response;
}

net::HttpResponse openapi(Call&) { return json_text(200, std::string(openapi_json())); }

}  // namespace higgs::boson
