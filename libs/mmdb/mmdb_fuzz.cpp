// Any file: opening it and asking it for addresses must neither read out of bounds nor take long.
#include "mmdb/database.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace higgs;
  const auto database = mmdb::Database::open(std::as_bytes(std::span(data, size)));
  if (!database) return 0;
  for (const auto* text : {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "2001:db8::1", "ffff::"}) {
    const auto record = database->find(*IpAddress::parse(text));
    if (!record) continue;
    for (const auto* key : {"country", "location", "subdivisions", "city"}) {
      const auto value = record->at(key);
      if (!value) continue;
      (void)value->text();
      (void)value->number();
      (void)value->count();
      if (const auto item = value->item(1)) (void)item->at("names");
      if (const auto code = value->at("iso_code")) (void)code->text();
    }
  }
  return 0;
}
