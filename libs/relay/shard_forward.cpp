#include <algorithm>
#include <limits>
#include <utility>

#include "relay/shard_impl.h"

namespace higgs::relay {

namespace {
/// proto/relay.md: at most one queue-report and one throttle a second.
constexpr std::chrono::seconds kReportInterval{1};

/// One writer, so that no locked instruction is needed.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t amount) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}
}  // namespace

void Shard::Impl::on_binary(Now now, LinkKey key, MutableBytes message) {
  Link* link = find_link(key);
  if (link == nullptr) return;
  link->liveness.on_received(now.monotonic);
  const auto header = parse_header(message);
  if (!header) {
    close_malformed(now, *link, "malformed message");
    return;
  }
  if (link->kind == Kind::kClient ? header->channel != 0 : header->channel == 0) {
    close_malformed(now, *link, "a client's channel is 0, all others start at 1");
    return;
  }
  Session* session = session_on(*link, header->channel);
  if (session == nullptr)
    context_.drops.add(DropReason::kUnknownChannel, header->packet_count);
  else if (link->towards_node())
    from_node(now, *session, *header, message);
  else
    from_client(now, *session, *header, message);
}

Shard::Impl::Session* Shard::Impl::session_on(const Link& link, Channel channel) {
  if (link.kind == Kind::kClient) return link.session;
  const auto found = link.carrier->channels.find(channel);
  return found == link.carrier->channels.end() ? nullptr : found->second;
}

void Shard::Impl::from_client(Now now, Session& session, FrameHeader header, MutableBytes message) {
  if (!police(now, session, Way::kUp, header, message)) return;
  if (session.state == State::kReady)
    forward(now, *session.upstream, session, Way::kUp, header, message);
  else
    session.held.push(now.monotonic, message, limits_.hold_bytes + BatchQueue::kEntryOverheadBytes, DropReason::kHold);
}

void Shard::Impl::from_node(Now now, Session& session, FrameHeader header, MutableBytes message) {
  if (session.client == nullptr) {
    context_.drops.add(DropReason::kNoReceiver, header.packet_count);
    return;
  }
  if (!police(now, session, Way::kDown, header, message)) return;
  forward(now, *session.client, session, Way::kDown, header, message);
}

/// Cuts the message down to what the session's rate allows now; false if that is nothing.
bool Shard::Impl::police(Now now, Session& session, Way way, FrameHeader& header, MutableBytes& message) {
  auto& bucket = way == Way::kUp ? session.up_rate : session.down_rate;
  SharedRate* const user = session.ticket.user_rate.get();
  SharedBucket* const shared = user == nullptr ? nullptr : (way == Way::kUp ? &user->up : &user->down);
  double budget = std::numeric_limits<double>::infinity();
  if (bucket) budget = bucket->available(now.monotonic);
  if (shared != nullptr) budget = std::min(budget, shared->available(now.monotonic));
  const auto spend = [&](std::size_t bytes) {
    if (bucket) bucket->take(now.monotonic, static_cast<double>(bytes));
    if (shared != nullptr) shared->spend(now.monotonic, static_cast<double>(bytes));
  };
  if (static_cast<double>(message.size()) <= budget) {
    spend(message.size());
    return true;
  }
  std::size_t kept_bytes = kHeaderBytes;
  std::uint16_t kept = 0;
  while (kept < header.packet_count) {
    const std::size_t record = first_record_bytes(message.subspan(kept_bytes));
    if (record == 0 || static_cast<double>(kept_bytes + record) > budget) break;
    kept_bytes += record;
    ++kept;
  }
  const std::uint64_t dropped = header.packet_count - kept;
  context_.drops.add(DropReason::kRate, dropped);
  if (session.rate_drops == 0 && dropped > 0) throttled_.push_back(session.ticket.session);
  session.rate_drops += dropped;
  schedule_reports(now);
  if (kept == 0) return false;
  spend(kept_bytes);
  header.packet_count = kept;
  message = message.first(kept_bytes);
  const auto rewritten = encode_header(header);
  std::copy(rewritten.begin(), rewritten.end(), message.begin());
  return true;
}

void Shard::Impl::forward(Now now, Link& to, Session& session, Way way, FrameHeader header, MutableBytes message) {
  const Channel channel = way == Way::kUp ? session.channel : session.client_channel;
  if (to.queue.empty() && message.size() <= output_.quantum(to.key) && output_.can_send(to.key)) {
    rewrite_channel(message, channel);
    const ByteView whole = message;
    output_.send_binary(to.key, std::span(&whole, 1));
    count(session, way, header.packet_count, message.size());
  } else {
    to.queue.push(now.monotonic, channel, message);
    pump(now, to);
  }
  to.liveness.on_sent(now.monotonic);
  arm(to);
}

void Shard::Impl::on_writable(Now now, LinkKey key) {
  Link* link = find_link(key);
  if (link == nullptr) return;
  // The other end took what was sent, however long a queue of ours makes its pongs wait.
  link->liveness.on_received(now.monotonic);
  if (link->towards_node()) {
    open_waiting(now, *link);
    link = find_link(key);
    if (link == nullptr) return;
  }
  pump(now, *link);
}

void Shard::Impl::pump(Now now, Link& link) {
  const std::size_t quantum = output_.quantum(link.key);
  bool sent = false;
  while (!link.queue.empty() && output_.can_send(link.key)) {
    const auto message = link.queue.pop(now.monotonic, quantum);
    if (!message) break;
    output_.send_binary(link.key, message.parts);
    sent = true;
    if (Session* session = session_on(link, message.channel))
      count(*session, link.towards_node() ? Way::kUp : Way::kDown, message.packets, message.bytes);
  }
  if (sent) {
    link.liveness.on_sent(now.monotonic);
    arm(link);
  }
  watch_reports(now, link);
}

void Shard::Impl::count(Session& session, Way way, std::size_t packets, std::size_t bytes) {
  ++stats_.messages;
  stats_.packets += packets;
  stats_.bytes += bytes;
  SessionTraffic& traffic = *session.traffic;
  add(way == Way::kUp ? traffic.up_packets : traffic.down_packets, packets);
  add(way == Way::kUp ? traffic.up_bytes : traffic.down_bytes, bytes);
}

// --- reports of what was lost ------------------------------------------------------------------------------------

void Shard::Impl::watch_reports(Now now, Link& link) {
  if (link.reporting || !link.queue.has_reports()) return;
  link.reporting = true;
  reporting_links_.push_back(link.key);
  schedule_reports(now);
}

void Shard::Impl::schedule_reports(Now now) {
  if (!report_at_) report_at_ = now.monotonic + kReportInterval;
}

void Shard::Impl::send_reports(Now) {
  report_at_.reset();
  for (const LinkKey key : std::exchange(reporting_links_, {})) {
    Link* link = find_link(key);
    if (link == nullptr) continue;
    link->reporting = false;
    for (const auto& lost : link->queue.take_reports())
      if (Session* session = session_on(*link, lost.channel))
        report(*session,
               QueueReport{std::nullopt, static_cast<std::uint32_t>(lost.delay.count()), lost.dropped_packets});
  }
  for (const SessionId id : std::exchange(throttled_, {})) {
    Session* session = find_session(id);
    if (session == nullptr) continue;
    const std::uint64_t dropped = std::exchange(session->rate_drops, 0);
    const auto rate = rate_of(*session);
    if (!rate || dropped == 0) continue;
    const Throttle notice{*rate, dropped};
    report(*session, notice);
  }
}

std::optional<double> Shard::Impl::rate_of(const Session& session) {
  std::optional<double> rate;
  if (session.up_rate) rate = session.up_rate->per_second() * 8 / 1e6;
  const auto shared = session.ticket.user_rate ? session.ticket.user_rate->up.mbps() : std::nullopt;
  if (shared) rate = std::min(rate.value_or(*shared), *shared);
  return rate;
}

/// To both ends. A link that many share is not filled with reports: those of a full one would be about that.
void Shard::Impl::report(Session& session, const ControlPayload& notice) {
  const auto has_room = [this](const Link* link) {
    return link != nullptr && (link->kind == Kind::kClient || output_.can_send(link->key));
  };
  if (has_room(session.client)) tell_client(session, notice);
  if (has_room(session.upstream)) tell_upstream(session, notice);
}

}  // namespace higgs::relay
