#include "bosonserver/api/answers.h"
#include "bosonserver/api/handlers.h"

namespace higgs::boson {
namespace {

/// A node's clock may be off by this much; what is further off would confuse the series.
constexpr std::int64_t kMostSkewSeconds = 300;
/// Of one node; its configured interval is far longer.
constexpr std::uint64_t kReportsAMinute = 12;

}  // namespace

net::HttpResponse report_metrics(Call& call) {
  const auto body = call.body<api::MetricsReport>();
  if (!body) return invalid_body(body.error());
  if (to_string(body->node_id) != call.claims->subject) return forbidden("the token is another node's");
  if (std::abs(body->timestamp - call.seconds()) > kMostSkewSeconds)
    return invalid_field("/timestamp", "is too far from the server's clock");
  const auto known = call.services.store.node(body->node_id);
  if (!known) return store_failure(known.error(), "node");
  if (known->admission == NodeAdmission::kBanned) return problem_answer(403, "banned", "This node is banned");
  const auto counted = call.services.cache.count("reports:" + call.claims->subject, std::chrono::minutes(1));
  if (counted.count > kReportsAMinute)
    return later(429, "too-many-requests", "Too many reports",
                 std::chrono::ceil<std::chrono::seconds>(counted.resets_in).count());
  const auto added = call.services.store.add_metrics(body->node_id, body->timestamp, api::encode(*body));
  if (!added) return store_failure(added.error(), "node");
  return no_content();
}

}  // namespace higgs::boson
