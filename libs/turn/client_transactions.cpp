#include "turn/client_transactions.h"

#include <algorithm>

#include "base/assert.h"

namespace higgs::turn {

namespace {

using stun::AttributeType;

// Room for what a server may make us quote, the user's name and the fixed part.
constexpr std::size_t kBufferBytes = 2 * ClientTransactions::kMaxQuotedBytes + ClientTransactions::kMaxUserBytes + 256;
// RFC 8656, section 18.8: the protocol number of UDP in the first byte.
constexpr std::uint32_t kUdpTransport = 17u << 24;
// RFC 8656, section 18.6.
constexpr std::uint32_t kFamilyIpv6 = 0x02u << 24;
// RFC 8489, section 14.8.
constexpr unsigned kUnauthorized = 401, kStaleNonce = 438;

std::uint16_t method_of(ClientRequest::Kind kind) noexcept {
  switch (kind) {
    case ClientRequest::Kind::kAllocate:
      return stun::kAllocateMethod;
    case ClientRequest::Kind::kRefresh:
    case ClientRequest::Kind::kDelete:
      return stun::kRefreshMethod;
    case ClientRequest::Kind::kPermission:
      return stun::kCreatePermissionMethod;
    case ClientRequest::Kind::kChannel:
      return stun::kChannelBindMethod;
  }
  return stun::kAllocateMethod;
}

void add_attributes(stun::MessageBuilder& builder, const ClientRequest& request) {
  switch (request.kind) {
    case ClientRequest::Kind::kAllocate:
      builder.add_u32(AttributeType::kRequestedTransport, kUdpTransport);
      if (request.ipv6) builder.add_u32(AttributeType::kRequestedAddressFamily, kFamilyIpv6);
      break;
    case ClientRequest::Kind::kRefresh:
      break;
    case ClientRequest::Kind::kDelete:
      builder.add_u32(AttributeType::kLifetime, 0);
      break;
    case ClientRequest::Kind::kPermission:
      builder.add_xor_address(AttributeType::kXorPeerAddress, request.peer);
      break;
    case ClientRequest::Kind::kChannel:
      builder.add_u32(AttributeType::kChannelNumber, std::uint32_t{request.channel} << 16);
      builder.add_xor_address(AttributeType::kXorPeerAddress, request.peer);
      break;
  }
}

}  // namespace

ClientTransactions::ClientTransactions(std::string username, SecretString password, RandomSource& random)
    : username_(std::move(username)), password_(std::move(password)), random_(random) {}

void ClientTransactions::start(Instant now, const ClientRequest& request) {
  HIGGS_ASSERT(waiting_.size() < kMaxInFlight);
  begin(now, request, 0);
}

void ClientTransactions::begin(Instant now, const ClientRequest& request, unsigned nonces) {
  const auto transaction = random_.array<12>();
  waiting_.push_back(
      {request, transaction, stun::TransactionTimer(now, {.rto = kRto}), build(request, transaction), nonces});
  handle_timeout(now);
}

void ClientTransactions::send_once(const ClientRequest& request) {
  Bytes bytes = build(request, random_.array<12>());
  if (!bytes.empty()) outbound_.push_back(std::move(bytes));
}

void ClientTransactions::clear() noexcept {
  waiting_.clear();
  outbound_.clear();
}

Bytes ClientTransactions::build(const ClientRequest& request, const stun::TransactionId& transaction) const {
  ByteArray<kBufferBytes> buffer;
  stun::MessageBuilder builder(buffer, stun::MessageClass::kRequest, method_of(request.kind), transaction);
  add_attributes(builder, request);
  // The first request of all goes out bare, to be given realm and nonce (RFC 8489, section 9.2.3.1).
  if (key_) {
    builder.add_text(AttributeType::kUsername, username_);
    builder.add_text(AttributeType::kRealm, realm_);
    builder.add_text(AttributeType::kNonce, nonce_);
    builder.add_message_integrity(*key_);
  }
  builder.add_fingerprint();
  return to_bytes(builder.finish());
}

bool ClientTransactions::take_nonce(const stun::Message& message) {
  const auto nonce = message.text(AttributeType::kNonce);
  if (!nonce || nonce->empty() || nonce->size() > kMaxQuotedBytes) return false;
  if (const auto realm = message.text(AttributeType::kRealm)) {
    if (realm->size() > kMaxQuotedBytes || username_.size() > kMaxUserBytes) return false;
    // The password meets any realm once only: who could answer in the server's name could else have guesses made.
    if (!key_) {
      realm_ = *realm;
      key_ = stun::IntegrityKey::long_term_md5(username_, realm_, password_.reveal());
    }
  }
  nonce_ = *nonce;
  return key_.has_value();
}

bool ClientTransactions::authentic(ByteView datagram, const stun::Message& message) const {
  if (!key_) return message.message_class == stun::MessageClass::kError;
  const auto integrity = stun::check_integrity(datagram, message, *key_);
  if (integrity == stun::Integrity::kGood) return true;
  // Errors may come bare: some servers send them so, and 401 and 438 always do. Forging one takes the transaction id,
  // which only who is on the path sees, and who is there can as well drop the answer.
  return integrity == stun::Integrity::kAbsent && message.message_class == stun::MessageClass::kError;
}

std::optional<ClientOutcome> ClientTransactions::handle_response(Instant now, ByteView datagram,
                                                                 const stun::Message& message) {
  const auto found = std::ranges::find(waiting_, message.transaction, &Waiting::transaction);
  if (found == waiting_.end() || message.method != method_of(found->request.kind)) return std::nullopt;
  if (!authentic(datagram, message)) return std::nullopt;
  const ClientRequest request = found->request;
  const unsigned nonces = found->nonces;

  unsigned error = 0;
  if (message.message_class == stun::MessageClass::kError) {
    const auto code = stun::error_code(message);
    if (!code) return std::nullopt;
    error = *code;
  }
  const bool first_time = !key_;
  waiting_.erase(found);
  if (error == kStaleNonce || (error == kUnauthorized && first_time)) {
    if (nonces < kMaxNonces && take_nonce(message)) {
      begin(now, request, nonces + 1);
      return std::nullopt;
    }
  }
  return ClientOutcome{request, error};
}

bool ClientTransactions::handle_timeout(Instant now) {
  for (auto& waiting : waiting_) {
    switch (waiting.timer.step(now)) {
      case stun::TransactionTimer::Step::kWait:
        break;
      case stun::TransactionTimer::Step::kSend:
        // Empty: credentials that fit no message. It then ends as if never answered.
        if (!waiting.bytes.empty() && outbound_.size() < 2 * kMaxInFlight) outbound_.push_back(waiting.bytes);
        break;
      case stun::TransactionTimer::Step::kGiveUp:
        return false;
    }
  }
  return true;
}

std::optional<Instant> ClientTransactions::poll_timeout() const noexcept {
  std::optional<Instant> next;
  for (const auto& waiting : waiting_)
    if (!next || waiting.timer.next() < *next) next = waiting.timer.next();
  return next;
}

std::optional<Bytes> ClientTransactions::poll_transmit() {
  if (outbound_.empty()) return std::nullopt;
  Bytes bytes = std::move(outbound_.front());
  outbound_.pop_front();
  return bytes;
}

}  // namespace higgs::turn
