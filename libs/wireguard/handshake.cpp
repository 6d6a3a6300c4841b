#include "wireguard/handshake.h"

namespace higgs::wireguard {
namespace {

using crypto::Blake2sDigest;
using crypto::PublicKey;

// Section 5.4: "Construction: the UTF-8 string literal …", "Identifier: the UTF-8 string literal …".
constexpr std::string_view kConstruction = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
constexpr std::string_view kIdentifier = "WireGuard v1 zx2c4 Jason@zx2c4.com";

PublicKey to_public_key(FixedView<32> bytes) {
  PublicKey key;
  std::copy(bytes.begin(), bytes.end(), key.bytes.begin());
  return key;
}

void mix_hash(SymmetricState& state, ByteView data) { state.hash = crypto::blake2s({state.hash, data}); }

/// C := KDF1(C, input).
void mix_key(SymmetricState& state, ByteView input) {
  state.chaining_key = crypto::blake2s_kdf<1>(state.chaining_key.reveal(), input)[0];
}

/// (C, κ) := KDF2(C, input).
crypto::AeadKey mix_key_and_derive(SymmetricState& state, ByteView input) {
  auto outputs = crypto::blake2s_kdf<2>(state.chaining_key.reveal(), input);
  state.chaining_key = outputs[0];
  return outputs[1];
}

/// (C, κ) := KDF2(C, DH(own, other)).
std::optional<crypto::AeadKey> mix_dh_and_derive(SymmetricState& state, const crypto::PrivateKey& own,
                                                 const PublicKey& other) {
  const auto shared = crypto::x25519(own, other);
  if (!shared) return std::nullopt;
  return mix_key_and_derive(state, shared->reveal());
}

/// C := KDF1(C, DH(own, other)).
bool mix_dh(SymmetricState& state, const crypto::PrivateKey& own, const PublicKey& other) {
  const auto shared = crypto::x25519(own, other);
  if (!shared) return false;
  mix_key(state, shared->reveal());
  return true;
}

/// out := Aead(κ, 0, plaintext, H); H := Hash(H || out).
void seal_and_mix(SymmetricState& state, const crypto::AeadKey& key, ByteView plaintext, MutableBytes out) {
  crypto::chacha20poly1305_seal(key, 0, state.hash, plaintext, out);
  mix_hash(state, out);
}

bool open_and_mix(SymmetricState& state, const crypto::AeadKey& key, ByteView sealed, MutableBytes plaintext) {
  if (!crypto::chacha20poly1305_open(key, 0, state.hash, sealed, plaintext)) return false;
  mix_hash(state, sealed);
  return true;
}

/// (C, τ, κ) := KDF3(C, Q); H := Hash(H || τ).
crypto::AeadKey mix_preshared_key(SymmetricState& state, const SecretBytes<32>& preshared_key) {
  auto outputs = crypto::blake2s_kdf<3>(state.chaining_key.reveal(), preshared_key.reveal());
  state.chaining_key = outputs[0];
  mix_hash(state, outputs[1].reveal());
  return outputs[2];
}

/// Section 5.4.5: "(T_send of the initiator, T_recv of the initiator) := KDF2(C, ε)".
TransportKeys derive_transport_keys(const SymmetricState& state, bool initiator) {
  auto outputs = crypto::blake2s_kdf<2>(state.chaining_key.reveal(), {});
  return initiator ? TransportKeys{outputs[0], outputs[1]} : TransportKeys{outputs[1], outputs[0]};
}

}  // namespace

SymmetricState initial_state() {
  static const Blake2sDigest kChainingKey = crypto::blake2s({as_bytes(kConstruction)});
  static const Blake2sDigest kHash = crypto::blake2s({kChainingKey, as_bytes(kIdentifier)});
  return {SecretBytes<32>(kChainingKey), kHash};
}

std::optional<InitiatorState> write_initiation(const LocalIdentity& local, const RemoteIdentity& remote,
                                               std::uint32_t sender, const Tai64n& timestamp, RandomSource& random,
                                               FixedBytes<kInitiationBytes> message) {
  if (!remote.static_shared) return std::nullopt;
  InitiatorState state{initial_state(), crypto::make_private_key(random)};
  auto& symmetric = state.symmetric;
  mix_hash(symmetric, remote.public_key.bytes);

  store_le(message.data(), static_cast<std::uint32_t>(MessageType::kInitiation));
  store_le(message.data() + 4, sender);
  const PublicKey ephemeral = crypto::public_key_of(state.ephemeral);
  std::copy(ephemeral.bytes.begin(), ephemeral.bytes.end(), message.data() + 8);
  mix_key(symmetric, ephemeral.bytes);
  mix_hash(symmetric, ephemeral.bytes);

  const auto static_key = mix_dh_and_derive(symmetric, state.ephemeral, remote.public_key);
  if (!static_key) return std::nullopt;
  seal_and_mix(symmetric, *static_key, local.public_key.bytes, message.subspan(40, 48));

  const auto timestamp_key = mix_key_and_derive(symmetric, remote.static_shared->reveal());
  seal_and_mix(symmetric, timestamp_key, timestamp.bytes, message.subspan(88, 28));
  return state;
}

std::optional<InitiationReader> InitiationReader::begin(const LocalIdentity& local, const InitiationView& message) {
  InitiationReader reader;
  reader.symmetric_ = initial_state();
  reader.ephemeral_ = to_public_key(message.ephemeral);
  mix_hash(reader.symmetric_, local.public_key.bytes);
  mix_key(reader.symmetric_, message.ephemeral);
  mix_hash(reader.symmetric_, message.ephemeral);
  const auto key = mix_dh_and_derive(reader.symmetric_, local.private_key, reader.ephemeral_);
  if (!key || !open_and_mix(reader.symmetric_, *key, message.sealed_static, reader.initiator_.bytes)) {
    return std::nullopt;
  }
  return reader;
}

std::optional<Tai64n> InitiationReader::finish(const RemoteIdentity& remote, const InitiationView& message) {
  if (!remote.static_shared) return std::nullopt;
  const auto key = mix_key_and_derive(symmetric_, remote.static_shared->reveal());
  Tai64n timestamp;
  if (!open_and_mix(symmetric_, key, message.sealed_timestamp, timestamp.bytes)) return std::nullopt;
  return timestamp;
}

std::optional<TransportKeys> InitiationReader::write_response(const RemoteIdentity& remote, std::uint32_t sender,
                                                              std::uint32_t receiver, RandomSource& random,
                                                              FixedBytes<kResponseBytes> message) {
  const crypto::PrivateKey own_ephemeral = crypto::make_private_key(random);
  const PublicKey ephemeral = crypto::public_key_of(own_ephemeral);
  store_le(message.data(), static_cast<std::uint32_t>(MessageType::kResponse));
  store_le(message.data() + 4, sender);
  store_le(message.data() + 8, receiver);
  std::copy(ephemeral.bytes.begin(), ephemeral.bytes.end(), message.data() + 12);
  mix_key(symmetric_, ephemeral.bytes);
  mix_hash(symmetric_, ephemeral.bytes);
  if (!mix_dh(symmetric_, own_ephemeral, ephemeral_) || !mix_dh(symmetric_, own_ephemeral, initiator_)) {
    return std::nullopt;
  }
  const auto key = mix_preshared_key(symmetric_, remote.preshared_key);
  seal_and_mix(symmetric_, key, {}, message.subspan(44, 16));
  return derive_transport_keys(symmetric_, false);
}

std::optional<TransportKeys> read_response(const LocalIdentity& local, const RemoteIdentity& remote,
                                           const InitiatorState& state, const ResponseView& message) {
  SymmetricState symmetric = state.symmetric;
  const PublicKey ephemeral = to_public_key(message.ephemeral);
  mix_key(symmetric, ephemeral.bytes);
  mix_hash(symmetric, ephemeral.bytes);
  if (!mix_dh(symmetric, state.ephemeral, ephemeral) || !mix_dh(symmetric, local.private_key, ephemeral)) {
    return std::nullopt;
  }
  const auto key = mix_preshared_key(symmetric, remote.preshared_key);
  if (!open_and_mix(symmetric, key, message.sealed_nothing, {})) return std::nullopt;
  return derive_transport_keys(symmetric, true);
}

}  // namespace higgs::wireguard
