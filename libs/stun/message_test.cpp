#include "stun/message.h"

#include <gtest/gtest.h>

namespace higgs::stun {
namespace {

Bytes from_text(std::string_view text) { return from_hex(text).value(); }

// RFC 5769, 2.1: sample request.
const Bytes kSampleRequest = from_text(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1"
    "51263b36000600096576746a3a6836765920202000080014"
    "9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf");
// 2.2: sample IPv4 response.
const Bytes kSampleV4 = from_text(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96");
// 2.3: sample IPv6 response.
const Bytes kSampleV6 = from_text(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a147"
    "0113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c");

TEST(StunMessage, SampleRequestOfTheRfcIsRead) {
  const auto message = parse(kSampleRequest);
  ASSERT_TRUE(message) << message.error().message();
  EXPECT_EQ(message->message_class, MessageClass::kRequest);
  EXPECT_EQ(message->method, kBindingMethod);
  EXPECT_TRUE(message->has_fingerprint);
  EXPECT_EQ(as_text(*message->find(AttributeType::kSoftware)), "STUN test client");
  EXPECT_EQ(as_text(*message->find(AttributeType::kUsername)), "evtj:h6vY");
  EXPECT_EQ(to_hex(message->transaction), "b7e7a701bc34d686fa87dfae");
}

TEST(StunMessage, SampleResponsesOfTheRfcAreRead) {
  const auto v4 = parse(kSampleV4);
  ASSERT_TRUE(v4) << v4.error().message();
  EXPECT_EQ(v4->message_class, MessageClass::kSuccess);
  EXPECT_EQ(mapped_address(*v4), Endpoint::parse("192.0.2.1:32853"));
  const auto v6 = parse(kSampleV6);
  ASSERT_TRUE(v6) << v6.error().message();
  EXPECT_EQ(mapped_address(*v6), Endpoint::parse("[2001:db8:1234:5678:11:2233:4455:6677]:32853"));
}

TEST(StunMessage, AddressIsMaskedAsInTheRfc) {
  for (const auto& sample : {kSampleV4, kSampleV6}) {
    const auto message = parse(sample);
    Bytes buffer(200);
    MessageBuilder builder(buffer, MessageClass::kSuccess, kBindingMethod, message->transaction);
    const auto built = builder.add_xor_mapped_address(*mapped_address(*message)).finish();
    EXPECT_EQ(to_hex(built.subspan(kHeaderBytes + 4)), to_hex(*message->find(AttributeType::kXorMappedAddress)));
  }
}

TEST(StunMessage, FaultsAreTold) {
  const auto error_of = [](ByteView bytes) { return static_cast<StunError>(parse(bytes).error().value()); };
  EXPECT_EQ(error_of({}), StunError::kTooShort);
  EXPECT_EQ(error_of(ByteView(kSampleRequest).first(19)), StunError::kTooShort);
  Bytes bytes = kSampleRequest;
  bytes[0] = std::byte{0x40};
  EXPECT_EQ(error_of(bytes), StunError::kNotStun);
  bytes = kSampleRequest;
  bytes[4] ^= std::byte{1};
  EXPECT_EQ(error_of(bytes), StunError::kNotStun);
  EXPECT_EQ(error_of(ByteView(kSampleRequest).first(kSampleRequest.size() - 4)), StunError::kBadLength);
  bytes = kSampleRequest;
  bytes[30] ^= std::byte{1};
  EXPECT_EQ(error_of(bytes), StunError::kBadFingerprint);
  bytes = kSampleRequest;
  bytes[22] = std::byte{0xff};
  EXPECT_EQ(error_of(bytes), StunError::kBadAttribute);
  EXPECT_EQ(error_of(from_text("000100082112a442000000000000000000000000800100058041424344")), StunError::kBadLength);

  Bytes many = from_text("000100002112a442000000000000000000000000");
  for (std::size_t i = 0; i <= kMaxAttributes; ++i) many.insert(many.end(), {std::byte{0x80}, {}, {}, {}});
  store_be(many.data() + 2, static_cast<std::uint16_t>(many.size() - kHeaderBytes));
  EXPECT_EQ(error_of(many), StunError::kTooMany);
}

TEST(StunMessage, NothingMayFollowTheFingerprint) {
  Bytes buffer(200);
  MessageBuilder builder(buffer, MessageClass::kRequest, kBindingMethod, {});
  builder.add_fingerprint();
  builder.add(AttributeType::kSoftware, {});
  EXPECT_TRUE(parse(builder.finish()).has_error());
}

TEST(StunMessage, BuilderThatOverflowsGivesNothing) {
  Bytes buffer(30);
  MessageBuilder builder(buffer, MessageClass::kError, kBindingMethod, {});
  EXPECT_TRUE(builder.add_error(420, "Unknown Attribute").finish().empty());
}

TEST(StunMessage, EveryFormIsReadAsItWasWritten) {
  const auto v4 = *Endpoint::parse("192.0.2.1:32853"), v6 = *Endpoint::parse("[2001:db8::7]:1");
  ByteArray<300> buffer;
  MessageBuilder builder(buffer, MessageClass::kSuccess, kAllocateMethod, TransactionId{std::byte{9}, std::byte{8}});
  const auto built = builder.add_u32(AttributeType::kLifetime, 600)
                         .add_u64(AttributeType::kReservationToken, 0x0102030405060708)
                         .add_text(AttributeType::kRealm, "higgs")
                         .add_xor_address(AttributeType::kXorRelayedAddress, v4)
                         .add_xor_address(AttributeType::kXorPeerAddress, v6)
                         .add_address(AttributeType::kOtherAddress, v6)
                         .add_u32(AttributeType::kLifetime, 1)
                         .finish();
  const auto message = parse(built);
  ASSERT_TRUE(message) << message.error().message();
  EXPECT_EQ(message->method, kAllocateMethod);
  EXPECT_EQ(message->u32(AttributeType::kLifetime), 600u);  // the first counts
  EXPECT_EQ(message->u64(AttributeType::kReservationToken), 0x0102030405060708u);
  EXPECT_EQ(message->text(AttributeType::kRealm), "higgs");
  EXPECT_EQ(message->xor_address(AttributeType::kXorRelayedAddress), v4);
  EXPECT_EQ(message->xor_address(AttributeType::kXorPeerAddress), v6);
  EXPECT_EQ(message->address(AttributeType::kOtherAddress), v6);
  EXPECT_NE(message->address(AttributeType::kXorRelayedAddress), v4);  // it is masked
  EXPECT_EQ(message->u32(AttributeType::kRealm), std::nullopt);
  EXPECT_EQ(message->u64(AttributeType::kLifetime), std::nullopt);
  EXPECT_EQ(message->u32(AttributeType::kPriority), std::nullopt);
  EXPECT_EQ(message->xor_address(AttributeType::kRealm), std::nullopt);
}

TEST(StunMessage, EveryMethodAndClassIsReadAsItWasWritten) {
  for (const auto method : {kBindingMethod, kAllocateMethod, kRefreshMethod, kSendMethod, kDataMethod,
                            kCreatePermissionMethod, kChannelBindMethod, std::uint16_t{0xABC}}) {
    for (const auto message_class :
         {MessageClass::kRequest, MessageClass::kIndication, MessageClass::kSuccess, MessageClass::kError}) {
      ByteArray<kHeaderBytes> buffer;
      const auto message = parse(MessageBuilder(buffer, message_class, method, {}).finish());
      ASSERT_TRUE(message);
      EXPECT_EQ(message->method, method);
      EXPECT_EQ(message->message_class, message_class);
    }
  }
}

TEST(StunMessage, MessageThatIsLongerThanItsLengthFieldCanSayIsNotBuilt) {
  Bytes buffer(200'000);
  MessageBuilder builder(buffer, MessageClass::kIndication, kSendMethod, {});
  builder.add(AttributeType::kData, Bytes(65'000)).add(AttributeType::kData, Bytes(65'000));
  EXPECT_TRUE(builder.finish().empty());
}

}  // namespace
}  // namespace higgs::stun
