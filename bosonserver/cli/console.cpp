#include "bosonserver/cli/console.h"

#include <ctime>
#include <iostream>
#include <stdexcept>
#include <utility>

#include "bosonserver/store/open_store.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace higgs::boson {

Console::Console(const ServerSettings& settings, bool json) : settings_(settings), json_(json) {
  if (store_file(settings.store_settings().url)) must(runtime::make_private_directory(settings.state_dir));
  store_ = open_store(settings.store_settings());
}

std::int64_t Console::now() const { return unix_seconds(runtime::now().wall); }

UserRecord Console::user(const std::string& name) {
  auto found = store_->user_by_name(name);
  if (!found && found.error() == StoreError::kNotFound) throw std::runtime_error("there is no user " + name);
  return must(std::move(found));
}

void Console::begin(std::string_view action, std::string_view object) {
  act_ = Act{std::string(action), std::string(object)};
}

void Console::audit(std::string_view outcome) {
  must(write(std::exchange(act_, std::nullopt).value(), std::string(outcome)));
}

void Console::audit_failure(std::string_view why) {
  // Where the store is why, it does not take this either, and the reason is what people must see.
  if (act_) (void)write(*std::exchange(act_, std::nullopt), "refused: " + std::string(why));
}

Result<void> Console::write(const Act& act, std::string outcome) {
  return store_->add_audit({0, now(), std::string(kConsole), "", act.action, act.object, std::move(outcome)});
}

int Console::answer(const Json& json, std::string_view text) const {
  if (json_) {
    std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  } else {
    std::cout << text;
    if (!text.empty() && text.back() != '\n') std::cout << '\n';
  }
  return 0;
}

std::string time_text(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts)};
}

std::string table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < headings.size(); ++i) {
    widths.push_back(headings[i].size());
    for (const auto& row : rows) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  const auto add = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  };
  add(headings);
  for (const auto& row : rows) add(row);
  return text;
}

}  // namespace higgs::boson
