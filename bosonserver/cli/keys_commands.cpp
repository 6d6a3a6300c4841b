#include "bosonserver/cli/keys_commands.h"

#include "base/base64.h"
#include "bosonserver/api/key_ring.h"
#include "bosonserver/server/state_files.h"

namespace higgs::boson {
namespace {

using Json = Console::Json;

constexpr const char* kKeysExamples = R"(Examples:
  bosonserver keys list
  bosonserver keys rotate)";
constexpr const char* kKeysListExamples = "Example:\n  bosonserver keys list --json | jq -r '.[].kid'";
constexpr const char* kKeysRotateExamples = R"(Example:
  bosonserver keys rotate     # in the state directory of a server
Servers sign with the new key once all of them know it, a quarter of an hour later. Old keys verify until the tokens that
they signed have ended.)";

KeyRing open_ring(Console& console, const Sealer& sealer) {
  return KeyRing(console.store(), sealer, console.random(), console.settings().api.key_rotation,
                 from_unix_seconds(console.now()));
}

int list(Console& console) {
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const auto& key : must(console.store().signing_keys())) {
    all.push_back({{"kid", key.id}, {"publicKey", to_base64(key.public_key.bytes)}, {"createdAt", key.created_at}});
    rows.push_back({key.id, time_text(key.created_at), to_base64(key.public_key.bytes)});
  }
  return console.answer(all, table({"KID", "CREATED", "PUBLIC KEY"}, rows));
}

int rotate(Console& console) {
  console.begin("keys.rotate", "");
  const Sealer sealer(load_or_make_sealing_key(console.settings(), console.random()), console.random());
  // Refuses where the keys of the store do not open: a key of another's would stop every server.
  auto ring = open_ring(console, sealer);
  const auto kid = must(ring.rotate(from_unix_seconds(console.now())));
  console.begin("keys.rotate", kid);
  console.audit("ok");
  return console.answer({{"kid", kid}}, "made the key " + kid);
}

}  // namespace

KeysCommands::KeysCommands(CommandTable& table) {
  auto& group = table.add_group("keys", "the keys that sign tokens", kKeysExamples);
  table.add(group, "list", "list them, oldest first", kKeysListExamples, list);
  table.add(group, "rotate", "make a new one", kKeysRotateExamples, rotate);
}

}  // namespace higgs::boson
