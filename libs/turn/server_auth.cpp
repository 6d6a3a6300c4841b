// Long-term credentials (RFC 8489, section 9.2.4) and answers.
#include "turn/server_impl.h"

namespace higgs::turn {

namespace {

// RFC 8489, section 14.3: a user name of fewer than 509 bytes.
constexpr std::size_t kMaxUserBytes = 508;
constexpr std::size_t kFingerprintBytes = 8;
/// For every answer but a 401 (kMaxUnprovenAmplification).
constexpr std::size_t kMaxAmplification = 3;
/// Of the unknown attributes named in a 420.
constexpr std::size_t kMaxNamedAttributes = 8;

bool understood(std::uint16_t type) noexcept {
  using enum stun::AttributeType;
  switch (static_cast<stun::AttributeType>(type)) {
    case kUsername:
    case kMessageIntegrity:
    case kMessageIntegritySha256:
    case kRealm:
    case kNonce:
    case kChannelNumber:
    case kLifetime:
    case kXorPeerAddress:
    case kData:
    case kRequestedAddressFamily:
    case kEvenPort:
    case kRequestedTransport:
    case kDontFragment:
    case kReservationToken:
      return true;
    default:
      return !stun::comprehension_required(type);
  }
}

std::size_t attribute_bytes(std::size_t value) noexcept { return 4 + ((value + 3) & ~std::size_t{3}); }

}  // namespace

std::optional<stun::IntegrityKey> Server::Impl::key_of(const Request& request, std::string_view user) {
  // What stands goes on with the password it began with; that it may stand no longer is said by revoke().
  if (request.allocation != nullptr && request.allocation->user() == user) return request.allocation->key();
  const auto password = authority_.password(request.now.wall, user);
  if (!password) return std::nullopt;
  return stun::IntegrityKey::long_term_md5(user, options_.realm, password->reveal());
}

std::optional<Server::Impl::Caller> Server::Impl::authenticate(const Request& request) {
  using enum stun::AttributeType;
  const auto& message = request.message;
  const auto refuse = [&](ErrorNumber error) {
    answer_unproven(request, error);
    return std::nullopt;
  };
  if (message.integrity_at == 0 && message.integrity_sha256_at == 0) return refuse(ErrorNumber::kUnauthorized);
  const auto user = message.text(kUsername), nonce = message.text(kNonce);
  if (!user || user->size() > kMaxUserBytes || !nonce || !message.has(kRealm)) return refuse(ErrorNumber::kBadRequest);
  if (!nonces_.good(request.now.monotonic, request.from, *nonce)) return refuse(ErrorNumber::kStaleNonce);
  auto key = key_of(request, *user);
  if (!key) return refuse(ErrorNumber::kUnauthorized);
  if (stun::check_integrity(request.bytes, message, *key) != stun::Integrity::kGood)
    return refuse(ErrorNumber::kUnauthorized);
  return Caller{std::string(*user), std::move(*key), message.integrity_sha256_at != 0};
}

/// Whoever asks may have lied about where he is: short, and not often.
void Server::Impl::answer_unproven(const Request& request, ErrorNumber error) {
  count(error);
  const bool challenge = error == ErrorNumber::kUnauthorized || error == ErrorNumber::kStaleNonce;
  // A stream's handshake has shown where the client is.
  const bool proven = request.from.transport != Transport::kUdp;
  const std::size_t times = error == ErrorNumber::kUnauthorized ? kMaxUnprovenAmplification : kMaxAmplification;
  const std::size_t limit = proven ? scratch_.size() : times * request.bytes.size();
  const std::size_t challenge_bytes =
      challenge ? attribute_bytes(options_.realm.size()) + attribute_bytes(NonceMint::kTextBytes) : 0;
  const std::string_view reason = reason_of(error);
  const bool with_reason = stun::kHeaderBytes + attribute_bytes(4 + reason.size()) + challenge_bytes <= limit;
  stun::MessageBuilder builder(scratch_, stun::MessageClass::kError, request.message.method,
                               request.message.transaction);
  builder.add_error(static_cast<unsigned>(error), with_reason ? reason : std::string_view());
  if (challenge) {
    builder.add_text(stun::AttributeType::kRealm, options_.realm)
        .add_text(stun::AttributeType::kNonce, nonces_.make(request.now.monotonic, request.from));
  }
  if (builder.size() + attribute_bytes(options_.software.size()) + kFingerprintBytes <= limit)
    builder.add_text(stun::AttributeType::kSoftware, options_.software);
  if (builder.size() + kFingerprintBytes <= limit) builder.add_fingerprint();
  if (builder.size() > limit || (!proven && !output_.may_answer_unproven(request.from))) {
    ++counters_.unanswered;
    return;
  }
  output_.send_to_client(request.from, builder.finish());
}

bool Server::Impl::refuse_unknown(const Request& request, const Caller& caller) {
  ByteArray<2 * kMaxNamedAttributes> unknown{};
  std::size_t bytes = 0;
  for (const auto& attribute : request.message.all()) {
    if (understood(attribute.type) || bytes == unknown.size()) continue;
    store_be(unknown.data() + bytes, attribute.type);
    bytes += 2;
  }
  if (bytes == 0) return false;
  count(ErrorNumber::kUnknownAttribute);
  stun::MessageBuilder builder(scratch_, stun::MessageClass::kError, request.message.method,
                               request.message.transaction);
  builder.add_error(static_cast<unsigned>(ErrorNumber::kUnknownAttribute), reason_of(ErrorNumber::kUnknownAttribute))
      .add(stun::AttributeType::kUnknownAttributes, ByteView(unknown).first(bytes));
  finish(request, caller, builder);
  return true;
}

stun::MessageBuilder Server::Impl::success(const Request& request) {
  return {scratch_, stun::MessageClass::kSuccess, request.message.method, request.message.transaction};
}

void Server::Impl::finish(const Request& request, const Caller& caller, stun::MessageBuilder& builder) {
  builder.add_text(stun::AttributeType::kSoftware, options_.software);
  // RFC 8489, section 9.2.4: the answer is protected as the request was.
  if (caller.sha256) {
    builder.add_message_integrity_sha256(caller.key);
  } else {
    builder.add_message_integrity(caller.key);
  }
  builder.add_fingerprint();
  output_.send_to_client(request.from, builder.finish());
}

void Server::Impl::fail(const Request& request, const Caller& caller, ErrorNumber error) {
  count(error);
  stun::MessageBuilder builder(scratch_, stun::MessageClass::kError, request.message.method,
                               request.message.transaction);
  builder.add_error(static_cast<unsigned>(error), reason_of(error));
  finish(request, caller, builder);
}

void Server::Impl::count(ErrorNumber error) {
  auto& counters = counters_;
  switch (error) {
    case ErrorNumber::kBadRequest:
      ++counters.bad_request;
      break;
    case ErrorNumber::kUnauthorized:
      ++counters.unauthorized;
      break;
    case ErrorNumber::kForbidden:
      ++counters.forbidden_peer;
      break;
    case ErrorNumber::kUnknownAttribute:
      ++counters.unknown_attribute;
      break;
    case ErrorNumber::kAllocationMismatch:
      ++counters.mismatch;
      break;
    case ErrorNumber::kStaleNonce:
      ++counters.stale_nonce;
      break;
    case ErrorNumber::kFamilyNotSupported:
      ++counters.unsupported_family;
      break;
    case ErrorNumber::kWrongCredentials:
      ++counters.wrong_user;
      break;
    case ErrorNumber::kUnsupportedTransport:
      ++counters.unsupported_transport;
      break;
    case ErrorNumber::kPeerFamilyMismatch:
      ++counters.peer_family;
      break;
    case ErrorNumber::kQuotaReached:
      ++counters.over_quota;
      break;
    case ErrorNumber::kInsufficientCapacity:
      ++counters.no_capacity;
      break;
  }
}

}  // namespace higgs::turn
