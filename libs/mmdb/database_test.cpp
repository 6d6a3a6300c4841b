#include "mmdb/database.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "mmdb/testing/writer.h"

namespace higgs::mmdb {
namespace {

using testing::Writer;

std::string country_of(const Database& database, std::string_view address) {
  const auto record = database.find(IpAddress::parse(address).value());
  const auto country = record ? record->at("country") : std::nullopt;
  const auto code = country ? country->at("iso_code") : std::nullopt;
  return std::string(code ? code->text().value_or("no text") : "");
}

std::string world(unsigned record_bits, unsigned family = 6) {
  Writer writer(record_bits, family);
  writer.add("192.0.2.0/24", testing::city_record("DE", "Berlin", "Berlin", 52.5, 13.4));
  writer.add("198.51.100.128/25", testing::city_record("US", "Oregon", "Portland", 45.5, -122.7));
  if (family == 6) writer.add("2001:db8::/32", testing::city_record("JP", "Tokyo", "Tokyo", 35.7, 139.7));
  return writer.file();
}

TEST(Mmdb, FindsTheRecordOfANetworkInEverySizeOfRecords) {
  for (const unsigned bits : {24u, 28u, 32u}) {
    const auto file = world(bits);
    const auto database = Database::open(as_bytes(file)).value();
    EXPECT_EQ(country_of(database, "192.0.2.0"), "DE");
    EXPECT_EQ(country_of(database, "192.0.2.255"), "DE");
    EXPECT_EQ(country_of(database, "::ffff:192.0.2.7"), "DE") << "as a socket for both families has it";
    EXPECT_EQ(country_of(database, "192.0.3.0"), "");
    EXPECT_EQ(country_of(database, "198.51.100.127"), "");
    EXPECT_EQ(country_of(database, "198.51.100.128"), "US");
    EXPECT_EQ(country_of(database, "2001:db8:ffff::1"), "JP");
    EXPECT_EQ(country_of(database, "2001:db9::1"), "");
    EXPECT_EQ(database.type(), "Test-City");
    EXPECT_EQ(database.build_epoch(), 1'700'000'000);
  }
}

TEST(Mmdb, ReadsWhatARecordHolds) {
  const auto file = world(24);
  const auto database = Database::open(as_bytes(file)).value();
  const auto record = database.find(IpAddress::parse("198.51.100.200").value()).value();
  const auto location = record.at("location").value();
  EXPECT_EQ(location.at("latitude")->number(), 45.5);
  EXPECT_EQ(location.at("longitude")->number(), -122.7);
  EXPECT_EQ(record.at("subdivisions")->item(0)->at("names")->at("en")->text(), "Oregon");
  EXPECT_FALSE(record.at("subdivisions")->item(1));
  EXPECT_EQ(record.at("country")->at("geoname_id")->count(), 1u);
  // What it is not.
  EXPECT_FALSE(record.at("continent"));
  EXPECT_FALSE(record.text());
  EXPECT_FALSE(record.number());
  EXPECT_FALSE(record.item(0));
  EXPECT_FALSE(location.at("latitude")->at("x"));
  EXPECT_FALSE(location.at("latitude")->count());
}

TEST(Mmdb, AFileWithIpv4OnlyKnowsNoOthers) {
  const auto file = world(24, 4);
  const auto database = Database::open(as_bytes(file)).value();
  EXPECT_EQ(country_of(database, "192.0.2.1"), "DE");
  EXPECT_EQ(country_of(database, "2001:db8::1"), "");
}

TEST(Mmdb, PointersLeadOnceAndOnlyInside) {
  Writer writer(24, 4);
  const auto shared = testing::map({{"iso_code", testing::text("SE")}});
  writer.add("10.0.0.0/8", shared);  // at 0
  writer.add("11.0.0.0/8", testing::map({{"country", testing::pointer(0)}}));
  writer.add("12.0.0.0/8", testing::map({{"country", testing::pointer(100'000)}}));
  const auto self = static_cast<std::uint32_t>(shared.size() + 2 * (1 + 8 + 5) + 1 + 8);
  writer.add("13.0.0.0/8", testing::map({{"country", testing::pointer(self)}}));
  const auto file = writer.file();
  const auto database = Database::open(as_bytes(file)).value();
  EXPECT_EQ(country_of(database, "11.1.1.1"), "SE");
  EXPECT_EQ(country_of(database, "12.1.1.1"), "");
  EXPECT_EQ(country_of(database, "13.1.1.1"), "");
}

TEST(Mmdb, DeepAndEndlessRecordsCostLittle) {
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += testing::control(11, 1);
  const auto wide = testing::control(11, 10'000'000);
  for (const auto& obstacle : {deep, wide}) {
    Writer writer(24, 4);
    writer.add("10.0.0.0/8",
               testing::map({{"a", obstacle}, {"country", testing::map({{"iso_code", testing::text("DE")}})}}));
    const auto file = writer.file();
    EXPECT_EQ(country_of(Database::open(as_bytes(file)).value(), "10.1.1.1"), "");
  }
}

TEST(Mmdb, SaysWhatIsWrongWithAFile) {
  const auto file = world(24);
  EXPECT_EQ(Database::open({}).error(), MmdbError::kNoMetadata);
  EXPECT_EQ(Database::open(as_bytes("a text file\n")).error(), MmdbError::kNoMetadata);
  const auto marker = file.rfind("MaxMind.com");
  EXPECT_EQ(Database::open(as_bytes(file.substr(0, marker))).error(), MmdbError::kNoMetadata) << "cut";
  EXPECT_EQ(Database::open(as_bytes(file.substr(0, marker + 20))).error(), MmdbError::kNoMetadata);
  EXPECT_EQ(Database::open(as_bytes(file.substr(file.size() / 2))).error(), MmdbError::kTruncated)
      << "the front is gone";
  auto other = file;
  const std::string key = "record_size";
  other[other.rfind(key) + key.size() + 2] = 25;
  EXPECT_EQ(Database::open(as_bytes(other)).error(), MmdbError::kUnsupported);
}

TEST(Mmdb, AnyByteMayBeAnyOther) {
  const auto good = world(28);
  SeededRandom random(7);
  int opened = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto file = good;
    for (auto changes = random.below(4) + 1; changes > 0; --changes)
      file[random.below(file.size())] = static_cast<char>(random.below(256));
    if (random.below(8) == 0) file.resize(random.below(file.size()));
    const auto database = Database::open(as_bytes(file));
    if (!database) continue;
    ++opened;
    for (const auto* address : {"192.0.2.1", "198.51.100.200", "2001:db8::1", "0.0.0.0", "ffff::"}) {
      (void)country_of(*database, address);
      if (const auto record = database->find(IpAddress::parse(address).value())) {
        if (const auto list = record->at("subdivisions")) (void)list->item(3);
        if (const auto location = record->at("location")) (void)location->at("latitude");
      }
    }
  }
  EXPECT_GT(opened, 1000);
}

}  // namespace
}  // namespace higgs::mmdb
