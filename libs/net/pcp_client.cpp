#include "net/pcp_client.h"

#include <algorithm>
#include <utility>

namespace higgs::net::pcp {
namespace {

using namespace std::chrono_literals;

// RFC 6887, 8.1.1: "IRT: Initial retransmission time, SHOULD be 3 seconds"; RAND is within ±0.1.
constexpr std::chrono::nanoseconds kInitialRetransmission = 3s;
/// A removal is waited for: it is repeated sooner.
constexpr std::chrono::nanoseconds kRemovalRetransmission = 400ms;

}  // namespace

Client::Client(Instant now, const Options& options, RandomSource& random)
    : options_(options), random_(random), nonce_(random.array<12>()), next_(now), wished_{IpAddress(), options_.port} {
  handle_timeout(now);
}

std::chrono::nanoseconds Client::jittered(std::chrono::nanoseconds wait) {
  // 8.1.1: "RAND … chosen with a uniform distribution between -0.1 and +0.1".
  return wait * 9 / 10 + std::chrono::nanoseconds(random_.below(static_cast<std::uint64_t>(wait.count() / 5) + 1));
}

void Client::ask(Instant now) {
  out_ = encode_map_request({.client = options_.address,
                             .nonce = nonce_,
                             .internal_port = options_.port,
                             .lifetime_seconds = static_cast<std::uint32_t>(options_.lifetime.count()),
                             .suggested = wished_});
  if (unanswered_ > 0 && !mapping_) failure_ = "the router does not answer";
  ++unanswered_;
  // A mapping that stands is asked for again at the next check, so that a router that comes back is found soon; else
  // the intervals double.
  const auto doublings = std::min(unanswered_ - 1, kAttempts);
  next_ =
      now + (mapping_ ? std::chrono::nanoseconds(options_.check) : jittered(kInitialRetransmission * (1 << doublings)));
}

void Client::handle_timeout(Instant now) {
  if (released_) {
    if (!release_done_ && release_again_ && now >= *release_again_) release(now);
    return;
  }
  if (mapping_ && now >= mapping_->until) {
    mapping_.reset();
    renew_at_.reset();
    failure_ = "the router does not answer any more";
    unanswered_ = 0;
    next_ = now;
  }
  if (now < next_) return;
  if (!mapping_ && unanswered_ >= kAttempts) {
    unanswered_ = kAttempts - 1;
    ask(now);
    next_ = now + jittered(kAskAgain);
    return;
  }
  const bool renew = !mapping_ || !renew_at_ || now >= *renew_at_;
  if (renew) {
    ask(now);
    return;
  }
  // RFC 6887, 14.1.3: ANNOUNCE tells the epoch and changes nothing.
  out_ = encode_announce_request(options_.address);
  next_ = std::min(now + options_.check, *renew_at_);
}

std::optional<Bytes> Client::poll_transmit() { return std::exchange(out_, std::nullopt); }

void Client::refresh(Instant now) {
  if (released_) return;
  unanswered_ = 0;
  renew_at_.reset();
  next_ = now;
  handle_timeout(now);
}

void Client::release(Instant now) {
  released_ = true;
  mapping_.reset();
  // 15.1: a delete has a lifetime of zero, and suggests nothing.
  out_ = encode_map_request(
      {.client = options_.address, .nonce = nonce_, .internal_port = options_.port, .suggested = {}});
  release_again_ = now + kRemovalRetransmission;
}

void Client::handle_packet(Instant now, ByteView datagram) {
  const auto response = parse_response(datagram);
  if (!response ||
      (response->map && (response->map->nonce != nonce_ || response->map->internal_port != options_.port))) {
    return;
  }
  if (released_) {
    // 15.1: a delete is answered with a lifetime of zero; an answer that grants one belongs to an earlier request.
    const bool earlier = response->result == ResultCode::kSuccess && response->lifetime_seconds != 0;
    if ((response->map && !earlier) || response->result == ResultCode::kUnsupportedVersion) {
      release_done_ = true;
      release_again_.reset();
    }
    return;
  }
  if (response->result == ResultCode::kUnsupportedVersion) {
    refuse(now, *response);
    return;
  }
  const bool kept = epoch_.accept(now, response->epoch_seconds);
  if (!kept) ++restarts_;
  if (response->map) {
    handle_map(now, *response);
  } else if (!kept && mapping_) {
    refresh(now);
  }
}

void Client::handle_map(Instant now, const Response& response) {
  const auto& external = response.map->external;
  if (response.result != ResultCode::kSuccess || response.lifetime_seconds == 0) {
    refuse(now, response);
    return;
  }
  unanswered_ = 0;
  failure_.clear();
  no_outside_address_ = false;
  const auto lifetime = std::clamp(std::chrono::seconds(response.lifetime_seconds), kShortest, kLongest);
  mapping_ = Mapping{external, lifetime, now + lifetime};
  wished_ = external;
  // 11.2.1: renewal begins at half the lifetime.
  renew_at_ = now + lifetime / 2;
  next_ = std::min(now + options_.check, *renew_at_);
}

void Client::refuse(Instant now, const Response& response) {
  mapping_.reset();
  renew_at_.reset();
  unanswered_ = 0;
  failure_ = describe(response.result);
  no_outside_address_ = response.result == ResultCode::kNetworkFailure;
  // 7.2: "the lifetime of an error response … indicates the expected duration of that condition".
  const auto told = std::chrono::seconds(response.lifetime_seconds);
  next_ = now + std::clamp(told, response.result == ResultCode::kUnsupportedVersion ? kAskAgain : options_.check,
                           kLongestRefusal);
}

}  // namespace higgs::net::pcp
