#include "crypto/aead.h"

#include <gtest/gtest.h>

namespace higgs::crypto {
namespace {

AeadKey key_of(std::string_view hex) {
  AeadKey key;
  EXPECT_TRUE(from_hex(hex, key.reveal_mutable()));
  return key;
}

// RFC 8439, appendix A.5: its nonce begins with four zero bytes, as WireGuard's do.
TEST(ChaCha20Poly1305, VectorOfRfc8439AppendixA5) {
  const AeadKey key = key_of("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
  const Bytes additional = *from_hex("f33388860000000000004e91");
  const ByteView text = as_bytes(
      "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or "
      "obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as reference material or "
      "to cite them other than as /\xe2\x80\x9cwork in progress./\xe2\x80\x9d");
  Bytes sealed(text.size() + kAeadTagBytes);
  chacha20poly1305_seal(key, 0x0807060504030201, additional, text, sealed);
  EXPECT_EQ(to_hex(ByteView(sealed).first(16)), "64a0861575861af460f062c79be643bd");
  EXPECT_EQ(to_hex(ByteView(sealed).last(16)), "eead9d67890cbb22392336fea1851f38");
  Bytes opened(text.size());
  EXPECT_TRUE(chacha20poly1305_open(key, 0x0807060504030201, additional, sealed, opened));
  EXPECT_EQ(as_text(opened), as_text(text));
}

TEST(ChaCha20Poly1305, ForgeriesAreRefusedAndLeaveNothing) {
  const AeadKey key = key_of("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
  const ByteView text = as_bytes("text to be kept");
  Bytes sealed(text.size() + kAeadTagBytes);
  chacha20poly1305_seal(key, 7, as_bytes("ad"), text, sealed);
  Bytes opened(text.size(), std::byte{1});
  EXPECT_FALSE(chacha20poly1305_open(key, 8, as_bytes("ad"), sealed, opened));
  EXPECT_FALSE(chacha20poly1305_open(key, 7, as_bytes("AD"), sealed, opened));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    sealed[i] ^= std::byte{4};
    EXPECT_FALSE(chacha20poly1305_open(key, 7, as_bytes("ad"), sealed, opened));
    sealed[i] ^= std::byte{4};
  }
  EXPECT_EQ(opened, Bytes(text.size()));
  EXPECT_TRUE(chacha20poly1305_open(key, 7, as_bytes("ad"), sealed, opened));
}

// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
TEST(XChaCha20Poly1305, VectorOfTheDraft) {
  const AeadKey key = key_of("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  XChaChaNonce nonce;
  ASSERT_TRUE(from_hex("404142434445464748494a4b4c4d4e4f5051525354555657", nonce));
  const Bytes additional = *from_hex("50515253c0c1c2c3c4c5c6c7");
  const ByteView text = as_bytes(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be "
      "it.");
  Bytes sealed(text.size() + kAeadTagBytes);
  xchacha20poly1305_seal(key, nonce, additional, text, sealed);
  EXPECT_EQ(to_hex(ByteView(sealed).first(16)), "bd6d179d3e83d43b9576579493c0e939");
  EXPECT_EQ(to_hex(ByteView(sealed).last(16)), "c0875924c1c7987947deafd8780acf49");
  Bytes opened(text.size());
  EXPECT_TRUE(xchacha20poly1305_open(key, nonce, additional, sealed, opened));
  EXPECT_EQ(as_text(opened), as_text(text));
  nonce[0] ^= std::byte{1};
  EXPECT_FALSE(xchacha20poly1305_open(key, nonce, additional, sealed, opened));
  EXPECT_EQ(opened, Bytes(text.size()));
}

}  // namespace
}  // namespace higgs::crypto
