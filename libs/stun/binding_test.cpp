#include "stun/binding.h"

#include <gtest/gtest.h>

namespace higgs::stun {
namespace {

class Binding : public ::testing::Test {
 protected:
  BindingAnswer answer(ByteView request, const Endpoint& source) {
    const auto given = answer_binding(request, source, server_, buffer_);
    EXPECT_LE(given.bytes.size(), kMaxAmplification * request.size());
    return given;
  }
  Bytes request_with(std::uint16_t attribute, std::size_t count = 1) {
    Bytes bytes(kBindingBufferBytes);
    MessageBuilder builder(bytes, MessageClass::kRequest, kBindingMethod, kTransaction);
    for (std::size_t i = 0; i < count; ++i) builder.add(static_cast<AttributeType>(attribute + i), {});
    return to_bytes(builder.finish());
  }

  const TransactionId kTransaction{std::byte{1}, std::byte{2}, std::byte{3}};
  const Endpoint kV4 = *Endpoint::parse("203.0.113.9:4711"), kV6 = *Endpoint::parse("[2001:db8::9]:4711");
  BindingServer server_{"higgs", *Endpoint::parse("192.0.2.1:3478"), std::nullopt};
  ByteArray<kBindingBufferBytes> buffer_{};
};

TEST_F(Binding, RequestIsAnsweredWithTheSource) {
  ByteArray<kBindingBufferBytes> request;
  const auto bytes = make_binding_request(kTransaction, "client", request);
  for (const auto& source : {kV4, kV6}) {
    const auto given = answer(bytes, source);
    EXPECT_EQ(given.outcome, BindingOutcome::kAnswered);
    EXPECT_EQ(read_binding_response(given.bytes, kTransaction), source);
    EXPECT_TRUE(parse(given.bytes)->has_fingerprint);
  }
  EXPECT_FALSE(read_binding_response(answer(bytes, kV4).bytes, TransactionId{}));
}

TEST_F(Binding, SmallestRequestIsAnsweredWithinTheBound) {
  const Bytes bare = request_with(0, 0);
  ASSERT_EQ(bare.size(), kHeaderBytes);
  for (const auto& source : {kV4, kV6})
    EXPECT_EQ(read_binding_response(answer(bare, source).bytes, kTransaction), source);
}

TEST_F(Binding, MappedIpv4IsToldAsIpv4) {
  const auto given = answer(request_with(0, 0), *Endpoint::parse("[::ffff:203.0.113.9]:4711"));
  EXPECT_EQ(read_binding_response(given.bytes, kTransaction), kV4);
}

TEST_F(Binding, UnknownAttributeThatMustBeUnderstoodIsRefused) {
  const auto given = answer(request_with(0x0031), kV4);
  EXPECT_EQ(given.outcome, BindingOutcome::kRefused);
  const auto message = parse(given.bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->message_class, MessageClass::kError);
  EXPECT_EQ(error_code(*message), 420u);
  EXPECT_EQ(to_hex(*message->find(AttributeType::kUnknownAttributes)), "0031");
  EXPECT_FALSE(read_binding_response(given.bytes, kTransaction));
  EXPECT_EQ(answer(request_with(0x0031, 20), kV4).outcome, BindingOutcome::kRefused);
  EXPECT_EQ(answer(request_with(0x8031), kV4).outcome, BindingOutcome::kAnswered);
}

TEST_F(Binding, OnlyRequestsAreAnswered) {
  EXPECT_EQ(answer(request_with(0x0024), kV4).outcome, BindingOutcome::kRefused);  // PRIORITY is ICE's
  const Bytes response = to_bytes(answer(request_with(0, 0), kV4).bytes);
  EXPECT_EQ(answer(response, kV4).outcome, BindingOutcome::kIgnored);
  EXPECT_EQ(answer(as_bytes("GET / HTTP/1.1\r\n\r\n\r\n"), kV4).outcome, BindingOutcome::kMalformed);
  Bytes allocate = request_with(0, 0);
  allocate[1] = std::byte{3};
  EXPECT_EQ(answer(allocate, kV4).outcome, BindingOutcome::kIgnored);
}

/// A server with two addresses, asked at its first.
class Discovery : public Binding {
 protected:
  Discovery() { server_.other = kOther; }
  Bytes request(std::optional<std::uint32_t> change, std::optional<std::uint32_t> port = {}, std::size_t padding = 0) {
    Bytes bytes(2000);
    MessageBuilder builder(bytes, MessageClass::kRequest, kBindingMethod, kTransaction);
    if (change) builder.add_u32(AttributeType::kChangeRequest, *change);
    if (port) builder.add_u32(AttributeType::kResponsePort, *port);
    if (padding > 0) builder.add(AttributeType::kPadding, Bytes(padding));
    return to_bytes(builder.finish());
  }
  const Endpoint kOther = *Endpoint::parse("192.0.2.2:3479");
};

TEST_F(Discovery, TellsTheOtherAddressAndWhereTheAnswerComesFrom) {
  const struct {
    std::optional<std::uint32_t> change;
    bool address, port;
    const char* origin;
  } cases[] = {{std::nullopt, false, false, "192.0.2.1:3478"},
               {0, false, false, "192.0.2.1:3478"},
               {2, false, true, "192.0.2.1:3479"},
               {4, true, false, "192.0.2.2:3478"},
               {6, true, true, "192.0.2.2:3479"},
               {0xfffffff9, false, false, "192.0.2.1:3478"}};
  for (const auto& one : cases) {
    const auto given = answer(request(one.change), kV4);
    EXPECT_EQ(given.outcome, BindingOutcome::kAnswered);
    EXPECT_EQ(given.change_address, one.address);
    EXPECT_EQ(given.change_port, one.port);
    const auto message = parse(given.bytes);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->address(AttributeType::kOtherAddress), kOther);
    EXPECT_EQ(message->address(AttributeType::kResponseOrigin), Endpoint::parse(one.origin));
    EXPECT_EQ(mapped_address(*message), kV4);
  }
}

TEST_F(Discovery, WithoutASecondAddressNothingIsPromised) {
  server_.other.reset();
  const auto plain = parse(answer(request({}), kV4).bytes);
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->has(AttributeType::kOtherAddress));
  EXPECT_EQ(answer(request(0), kV4).outcome, BindingOutcome::kAnswered);
  for (const std::uint32_t change : {2u, 4u, 6u}) {
    const auto given = answer(request(change), kV4);
    EXPECT_EQ(given.outcome, BindingOutcome::kRefused);
    EXPECT_FALSE(given.change_address || given.change_port);
    const auto message = parse(given.bytes);
    ASSERT_TRUE(message);
    EXPECT_EQ(error_code(*message), 420u);
    EXPECT_EQ(to_hex(*message->find(AttributeType::kUnknownAttributes)), "0003");
  }
}

TEST_F(Discovery, ResponsePortIsOfTheSameAddress) {
  const auto given = answer(request({}, 5000u << 16), kV4);
  EXPECT_EQ(given.outcome, BindingOutcome::kAnswered);
  EXPECT_EQ(given.port, 5000);
  EXPECT_EQ(answer(request({}), kV4).port, std::nullopt);
  EXPECT_EQ(answer(request({}, 0), kV4).outcome, BindingOutcome::kRefused);
  const auto both = answer(request({}, 5000u << 16, 100), kV4);
  EXPECT_EQ(both.outcome, BindingOutcome::kRefused);
  EXPECT_EQ(both.port, std::nullopt);
  EXPECT_EQ(error_code(*parse(both.bytes)), 400u);
}

TEST_F(Discovery, PaddingIsAnsweredAsFarAsItFits) {
  ByteArray<1472> large;
  for (const std::size_t padding : {4u, 100u, 1000u, 1400u}) {
    const Bytes asked = request({}, {}, padding);
    const auto given = answer_binding(asked, kV4, server_, large);
    const auto message = parse(given.bytes);
    ASSERT_TRUE(message) << padding;
    EXPECT_LE(given.bytes.size(), kMaxAmplification * asked.size());
    EXPECT_LE(given.bytes.size(), large.size());
    EXPECT_GE(message->find(AttributeType::kPadding)->size(), std::min<std::size_t>(padding, 1300));
    EXPECT_LE(message->find(AttributeType::kPadding)->size(), padding);
    EXPECT_EQ(mapped_address(*message), kV4);
  }
}

TEST_F(Discovery, Ipv6RequestsStayWithinTheBound) {
  server_.local = *Endpoint::parse("[2001:db8::10]:3478");
  server_.other = Endpoint::parse("[2001:db8::11]:3479");
  const auto message = parse(answer(request({}), kV6).bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(mapped_address(*message), kV6);
}

/// RFC 3489: no cookie, 16 bytes of transaction id.
class Classic : public Discovery {
 protected:
  Bytes classic(Bytes request) {
    store_be(request.data() + 4, 0x01020304u);
    return request;
  }
};

TEST_F(Classic, IsAnsweredInItsOwnWords) {
  const auto given = answer(classic(request(6)), kV4);
  EXPECT_EQ(given.outcome, BindingOutcome::kAnswered);
  EXPECT_TRUE(given.change_address && given.change_port);
  EXPECT_FALSE(looks_like_stun(given.bytes));
  const auto message = parse_classic(given.bytes);
  ASSERT_TRUE(message) << message.error().message();
  EXPECT_EQ(message->message_class, MessageClass::kSuccess);
  EXPECT_EQ(message->cookie, 0x01020304u);
  EXPECT_EQ(message->transaction, kTransaction);
  EXPECT_EQ(message->address(AttributeType::kMappedAddress), kV4);
  EXPECT_EQ(message->address(AttributeType::kChangedAddress), kOther);
  EXPECT_EQ(message->address(AttributeType::kSourceAddress), kOther);
  // A classic client gives up at attributes that it does not know.
  for (const auto& attribute : message->all()) EXPECT_LT(attribute.type, 0x000C);
}

TEST_F(Classic, IsNotSentWhereItIsToldTo) {
  Bytes bytes(100);
  MessageBuilder builder(bytes, MessageClass::kRequest, kBindingMethod, kTransaction);
  builder.add_address(AttributeType::kResponseAddress, *Endpoint::parse("203.0.113.99:53"));
  const auto given = answer(classic(to_bytes(builder.finish())), kV4);
  EXPECT_EQ(given.outcome, BindingOutcome::kRefused);
  EXPECT_EQ(error_code(*parse_classic(given.bytes)), 420u);
}

TEST_F(Classic, WhatIsNoRequestIsMalformed) {
  Bytes bytes = classic(request({}));
  bytes[1] = std::byte{2};
  EXPECT_EQ(answer(bytes, kV4).outcome, BindingOutcome::kMalformed);
  EXPECT_EQ(answer(Bytes(100), kV4).outcome, BindingOutcome::kMalformed);
}

}  // namespace
}  // namespace higgs::stun
