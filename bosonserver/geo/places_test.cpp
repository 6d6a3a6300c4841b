#include "bosonserver/geo/places.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "mmdb/testing/writer.h"
#include "runtime/files.h"

namespace higgs::boson {
namespace {

class PlacesOfAddresses : public ::testing::Test {
 protected:
  PlacesOfAddresses() {
    std::string pattern = (std::filesystem::temp_directory_path() / "higgs-places-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~PlacesOfAddresses() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path write(std::string_view content) {
    auto path = directory_ / "city.mmdb";
    EXPECT_TRUE(runtime::write_file_atomic(path, content));
    return path;
  }
  static std::string world() {
    mmdb::testing::Writer writer;
    writer.add("192.0.2.0/24", mmdb::testing::city_record("DE", "Brandenburg", "Potsdam", 52.4, 13.07));
    writer.add("198.51.100.0/24", mmdb::testing::city_record("deu", std::string(65, 'x'), "\xff\xfe", 91, 13));
    writer.add("2001:db8::/32", mmdb::testing::city_record("JP", "Tokyo", "Tokyo", 35.7, 139.7));
    return writer.file();
  }
  static NodeRecord node(const char* address) {
    NodeRecord node;
    node.address = IpAddress::parse(address).value();
    return node;
  }
  static std::string failure_of(const std::filesystem::path& path) {
    try {
      const Places places(path);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }

  std::filesystem::path directory_;
};

TEST_F(PlacesOfAddresses, ANodeThatSaysNothingIsWhereItsAddressIs) {
  const Places places(write(world()));
  for (int twice = 0; twice < 2; ++twice) {
    const auto place = places.of_node(node("::ffff:192.0.2.9"));
    EXPECT_EQ(place, (Place{"DE", "Brandenburg", "Potsdam", api::Coordinates{52.4, 13.07}}));
  }
  EXPECT_EQ(places.of_node(node("2001:db8::5")).country, "JP");
  EXPECT_EQ(places.of_node(node("203.0.113.1")), Place());
}

TEST_F(PlacesOfAddresses, WhatANodeSaysGoesFirst) {
  const Places places(write(world()));
  auto speaks = node("192.0.2.9");
  speaks.location = api::Location{"DE", "at home", std::nullopt};
  EXPECT_EQ(places.of_node(speaks), (Place{"DE", "at home", "", api::Coordinates{52.4, 13.07}}));
  speaks.location->coordinates = api::Coordinates{50, 8};
  EXPECT_EQ(places.of_node(speaks).coordinates, (api::Coordinates{50, 8}));
  speaks.location = api::Location{"FR", "", std::nullopt};
  EXPECT_EQ(places.of_node(speaks), (Place{"FR", "", "", std::nullopt})) << "its address is elsewhere";
}

TEST_F(PlacesOfAddresses, ListsShowNoCoordinatesThatNobodyGave) {
  const Places places(write(world()));
  const auto shown = places.shown_location(node("192.0.2.9"));
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->country, "DE");
  EXPECT_EQ(shown->region, "Brandenburg");
  EXPECT_FALSE(shown->coordinates);
  EXPECT_FALSE(places.shown_location(node("203.0.113.1")));
  auto speaks = node("192.0.2.9");
  speaks.location = api::Location{"FR", "", api::Coordinates{1, 2}};
  EXPECT_TRUE(places.shown_location(speaks)->coordinates);
}

TEST_F(PlacesOfAddresses, AClientIsPlacedCoarsely) {
  const Places places(write(world()));
  const auto client = places.of_client(IpAddress::parse("192.0.2.9").value());
  EXPECT_EQ(client.coordinates, (api::Coordinates{52, 13}));
}

TEST_F(PlacesOfAddresses, WhatIsNoNameAndNoPlaceIsNotPassedOn) {
  const Places places(write(world()));
  EXPECT_EQ(places.of_node(node("198.51.100.1")), Place());
  EXPECT_FALSE(places.shown_location(node("198.51.100.1")));
}

TEST_F(PlacesOfAddresses, WithoutAFileOnlyNodesThatSpeakHaveAPlace) {
  const Places places;
  EXPECT_EQ(places.of_node(node("192.0.2.9")), Place());
  auto speaks = node("192.0.2.9");
  speaks.location = api::Location{"FR", "", std::nullopt};
  EXPECT_EQ(places.of_node(speaks).country, "FR");
}

TEST_F(PlacesOfAddresses, AFileThatCannotBeUsedIsNamedWithTheReason) {
  const auto whole = world();
  const auto path = write(whole.substr(0, whole.size() / 2));
  EXPECT_EQ(failure_of(path),
            "cannot use the GeoIP database " + path.string() + ": not a MaxMind DB file, or its end is missing");
  EXPECT_NE(failure_of(write(whole.substr(whole.size() / 2))).find("shorter than it says"), std::string::npos);
  EXPECT_NE(failure_of(directory_ / "none.mmdb").find("No such file"), std::string::npos);
  EXPECT_NE(failure_of(write("")).find("not a MaxMind DB file"), std::string::npos);
}

TEST_F(PlacesOfAddresses, WhatHappensToTheFileLaterDoesNoHarm) {
  const auto path = write(world());
  const Places places(path);
  std::filesystem::resize_file(path, 10);
  EXPECT_EQ(places.of_node(node("192.0.2.9")).country, "DE");
}

}  // namespace
}  // namespace higgs::boson
