#include <algorithm>
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
  if (link->session != nullptr)
    from_client(now, *link, *header, message);
  else
    from_node(now, *link, *header, message);
}

void Shard::Impl::from_client(Now now, Link& link, FrameHeader header, MutableBytes message) {
  if (header.channel != 0) {
    close_malformed(now, link, "a client's channel is 0");
    return;
  }
  Session& session = *link.session;
  if (!police(now, session, Way::kUp, header, message)) return;
  if (session.state == State::kReady)
    forward(now, *session.node->link, session, Way::kUp, header, message);
  else
    session.held.push(now.monotonic, message, limits_.hold_bytes + BatchQueue::kEntryOverheadBytes, DropReason::kHold);
}

void Shard::Impl::from_node(Now now, Link& link, FrameHeader header, MutableBytes message) {
  if (header.channel == 0) {
    close_malformed(now, link, "a node's channels start at 1");
    return;
  }
  const auto found = link.node->channels.find(header.channel);
  if (found == link.node->channels.end()) {
    context_.drops.add(DropReason::kUnknownChannel, header.packet_count);
    return;
  }
  Session& session = *found->second;
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
  if (!bucket || bucket->take(now.monotonic, static_cast<double>(message.size()))) return true;

  const double budget = bucket->available(now.monotonic);
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
  bucket->take(now.monotonic, static_cast<double>(kept_bytes));
  header.packet_count = kept;
  message = message.first(kept_bytes);
  const auto rewritten = encode_header(header);
  std::copy(rewritten.begin(), rewritten.end(), message.begin());
  return true;
}

void Shard::Impl::forward(Now now, Link& to, Session& session, Way way, FrameHeader header, MutableBytes message) {
  const Channel channel = way == Way::kUp ? session.channel : 0;
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
  if (link->node != nullptr) {
    open_waiting(now, *link->node);
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
    if (link.session != nullptr) {
      count(*link.session, Way::kDown, message.packets, message.bytes);
    } else if (const auto found = link.node->channels.find(message.channel); found != link.node->channels.end()) {
      count(*found->second, Way::kUp, message.packets, message.bytes);
    }
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
    Session* client = link->session;
    Node* node = link->node;
    for (const auto& report : link->queue.take_reports()) {
      if (client != nullptr) {
        report_queue(*client, report);
      } else if (const auto found = node->channels.find(report.channel); found != node->channels.end()) {
        report_queue(*found->second, report);
      }
    }
  }
  for (const SessionId id : std::exchange(throttled_, {})) {
    Session* session = find_session(id);
    if (session == nullptr) continue;
    const std::uint64_t dropped = std::exchange(session->rate_drops, 0);
    if (!session->up_rate || dropped == 0) continue;
    const Throttle notice{session->up_rate->per_second() * 8 / 1e6, dropped};
    if (session->client != nullptr) send_control(*session->client, id, notice);
    if (session->channel != 0) send_control(*session->node->link, id, notice);
  }
}

void Shard::Impl::report_queue(Session& session, const FairQueue::Report& report) {
  QueueReport notice{std::nullopt, static_cast<std::uint32_t>(report.delay.count()), report.dropped_packets};
  const SessionId id = session.ticket.session;
  if (session.client != nullptr) send_control(*session.client, id, notice);
  if (session.channel == 0) return;
  notice.channel = session.channel;
  send_control(*session.node->link, id, notice);
}

}  // namespace higgs::relay
