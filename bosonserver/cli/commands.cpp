#include "bosonserver/cli/commands.h"

#include <iostream>
#include <stdexcept>

#include "base/random.h"
#include "bosonserver/api/user_rules.h"
#include "bosonserver/cli/password_input.h"
#include "bosonserver/server/state_files.h"
#include "bosonserver/store/open_store.h"
#include "crypto/password_hash.h"
#include "runtime/clock.h"
#include "runtime/files.h"

namespace higgs::boson {
namespace {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace

int add_user(const ServerSettings& settings, const NewUser& user) {
  if (const auto fault = fault_of_user_name(user.name)) throw std::runtime_error("the user name " + *fault);
  const auto password = read_password(user.password_file);
  if (password.reveal().size() < kShortestPassword)
    throw std::runtime_error("the password is shorter than " + std::to_string(kShortestPassword) + " characters");
  if (store_file(settings.store_settings().url)) must(runtime::make_private_directory(settings.state_dir));
  const auto store = open_store(settings.store_settings());
  SystemRandom random;
  UserRecord record;
  record.id = UserId(Uuid::random(random));
  record.name = user.name;
  record.password_hash = crypto::hash_password(password, random);
  record.role = user.role;
  record.created_at = unix_seconds(runtime::now().wall);
  const auto added = store->add_user(record);
  if (!added && added.error() == StoreError::kExists)
    throw std::runtime_error("there is a user " + user.name + " already");
  must(added);
  must(store->add_audit({0, record.created_at, "console", "", "user.create", record.name,
                         "ok: " + std::string(api::to_string(record.role))}));
  std::cout << "added " << api::to_string(user.role) << ' ' << user.name << '\n';
  return 0;
}

int list_users(const ServerSettings& settings) {
  const auto store = open_store(settings.store_settings());
  std::string after;
  for (;;) {
    const auto page = must(store->users(after, kMaxPage));
    for (const auto& user : page)
      std::cout << to_string(user.id) << "  " << api::to_string(user.role) << (user.disabled ? " (disabled)" : "")
                << "  " << user.name << '\n';
    if (page.size() < kMaxPage) return 0;
    after = page.back().name;
  }
}

int print_pin(const ServerSettings& settings) {
  std::cout << pin_of_certificate(settings) << '\n';
  return 0;
}

}  // namespace higgs::boson
