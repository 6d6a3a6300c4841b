// Any bytes as a TOML file: problems or values, never a crash; and what is printed is read again without a problem.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "config/schema.h"

namespace {

struct Settings {
  std::string name = "n";
  bool on = true;
  int count = 1;
  double share = 0.5;
  std::chrono::seconds wait{1};
  std::optional<higgs::Endpoint> listen;
  std::vector<higgs::IpPrefix> prefixes;
  higgs::SecretString secret;
};

void declare(higgs::config::Schema& schema, Settings& settings) {
  schema.add("name", settings.name, {.description = "d"});
  schema.add("on", settings.on, {.description = "d"});
  schema.add("t.count", settings.count, {.description = "d"}, higgs::config::in_range(-5, 5));
  schema.add("t.share", settings.share, {.description = "d"});
  schema.add("t.wait", settings.wait, {.description = "d"});
  schema.add("t.u.listen", settings.listen, {.description = "d"});
  schema.add("prefixes", settings.prefixes, {.description = "d"});
  schema.add("secret", settings.secret, {.description = "d"});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Settings settings;
  higgs::config::Schema schema;
  declare(schema, settings);
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto problems = schema.load({.file_text = text, .file_name = "f", .variable = {}});
  for (const auto& problem : problems) (void)to_string(problem);
  if (!problems.empty()) return 0;
  Settings again;
  higgs::config::Schema second;
  declare(second, again);
  if (!second.load({.file_text = schema.effective_toml(), .file_name = "f", .variable = {}}).empty()) std::abort();
  if (again.name != settings.name || again.count != settings.count || again.prefixes != settings.prefixes) std::abort();
  return 0;
}
