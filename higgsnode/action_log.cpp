#include "higgsnode/action_log.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "runtime/files.h"

namespace higgs::node {
namespace {

/// 256 results of at most 64 + 256 bytes, escaped.
constexpr std::size_t kMostLogBytes = 1024 * 1024;

std::deque<api::ActionResult> parse(const std::string& text) {
  std::deque<api::ActionResult> results;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_array()) return {};
  for (const auto& each : json) {
    const bool shaped =
        each.is_array() && each.size() == 3 && each[0].is_string() && each[1].is_boolean() && each[2].is_string();
    if (!shaped) return {};
    results.push_back({each[0].get<std::string>(), each[1].get<bool>(), each[2].get<std::string>()});
  }
  return results;
}

}  // namespace

ActionLog::ActionLog(std::filesystem::path file) : file_(std::move(file)) {
  const auto text = runtime::read_file_if_there(file_, kMostLogBytes);
  if (text && *text) results_ = parse(**text);
}

const api::ActionResult* ActionLog::find(std::string_view id) const {
  const auto found =
      std::find_if(results_.begin(), results_.end(), [id](const auto& result) { return result.id == id; });
  return found == results_.end() ? nullptr : &*found;
}

Result<void> ActionLog::add(api::ActionResult result) {
  auto results = results_;
  results.push_back(std::move(result));
  while (results.size() > kMostRemembered) results.pop_front();
  auto json = nlohmann::json::array();
  for (const auto& each : results) json.push_back({each.id, each.ok, each.detail});
  const auto text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (auto written = runtime::write_file_atomic(file_, text); !written) return written.error();
  results_ = std::move(results);
  return {};
}

}  // namespace higgs::node
