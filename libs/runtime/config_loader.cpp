#include "runtime/config_loader.h"

#include <cstdlib>

#include "runtime/files.h"

namespace higgs::runtime {
namespace {

std::optional<std::string> variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace

config::Problems load_config(config::Schema& schema, const std::string& program,
                             const std::optional<std::filesystem::path>& file) {
  std::filesystem::path path = std::filesystem::path("/etc/higgs") / (program + ".toml");
  bool must_be_there = false;
  if (file || variable("HIGGS_CONFIG")) {
    path = file ? *file : std::filesystem::path(*variable("HIGGS_CONFIG"));
    must_be_there = true;
  }
  config::Sources sources{.file_text = std::nullopt, .file_name = path.string(), .variable = variable};
  auto text = read_file_if_there(path, config::kMaxFileBytes);
  if (!text) return {{path.string(), "", "cannot be read: " + text.error().message()}};
  if (!*text && must_be_there) return {{path.string(), "", "is not there"}};
  sources.file_text = std::move(*text);
  return schema.load(sources);
}

}  // namespace higgs::runtime
