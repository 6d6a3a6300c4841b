#include "sim/probe_audit.h"

#include <algorithm>
#include <chrono>

#include "stun/message.h"

namespace higgs::sim {

void ProbeAudit::sent(Instant now, const Endpoint& to, ByteView datagram) {
  if (!stun::looks_like_stun(datagram)) return;
  const auto message = stun::parse(datagram);
  if (!message || message->message_class != stun::MessageClass::kRequest) return;
  const auto user = message->find(stun::AttributeType::kUsername);
  if (message->method != stun::kBindingMethod || !user) return;
  ++requests_;
  while (!recent_.empty() && now - recent_.front() >= std::chrono::seconds(1)) recent_.pop_front();
  recent_.push_back(now);
  most_in_a_second_ = std::max(most_in_a_second_, recent_.size());
  if (to.port == 0) return;  // through the relay link
  auto& attempt = destinations_[std::string(as_text(*user))];
  attempt.insert(to);
  most_destinations_ = std::max(most_destinations_, attempt.size());
}

}  // namespace higgs::sim
