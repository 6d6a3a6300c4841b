#include "bosonserver/cli/user_commands.h"

#include <stdexcept>

#include "base/number.h"
#include "bosonserver/api/user_rules.h"
#include "bosonserver/cli/password_input.h"
#include "bosonserver/domain/quota_period.h"
#include "crypto/password_hash.h"

namespace higgs::boson {
namespace {

using Json = Console::Json;

constexpr const char* kUserExamples = R"(Examples:
  bosonserver user add alice --role admin
  bosonserver user list --json | jq -r '.[].username'
  bosonserver user invite --role user --uses 5
All of them work while servers run, and servers follow at once.)";
constexpr const char* kUserAddExamples = R"(Examples:
  bosonserver user add alice --role admin                       # asks for the password
  pass show higgs/bob | bosonserver user add bob --password-file -
Without --password-file: HIGGS_PASSWORD, or a question on the terminal.)";
constexpr const char* kUserListExamples = "Example:\n  bosonserver user list";
constexpr const char* kUserShowExamples = "Example:\n  bosonserver user show alice";
constexpr const char* kUserDisableExamples = "Example:\n  bosonserver user disable alice     # ends logins and tunnels";
constexpr const char* kUserEnableExamples = "Example:\n  bosonserver user enable alice";
constexpr const char* kUserPasswordExamples = R"(Examples:
  bosonserver user passwd alice                   # asks for the new one; ends logins and tunnels
  bosonserver user passwd alice --reset-totp      # also forgets authenticator and recovery codes
  bosonserver user passwd alice --reset-totp --revoke-api-keys      # a stolen account: nothing of the thief stays)";
constexpr const char* kUserApiKeysExamples =
    "Example:\n  bosonserver user api-keys alice --json | jq -r '.[] | select(.lastUsedAt == null) | .id'";
constexpr const char* kUserRevokeKeyExamples =
    "Example:\n  bosonserver user revoke-api-key alice 018f…     # it is good for nothing at once";
constexpr const char* kUserRoleExamples = "Example:\n  bosonserver user role alice operator";
constexpr const char* kUserRemoveExamples = "Example:\n  bosonserver user remove alice      # ends logins and tunnels";
constexpr const char* kUserQuotaExamples = R"(Examples:
  bosonserver user quota alice 500000000000       # bytes a month over the relay
  bosonserver user quota alice configured         # as everybody's: relay.quota_per_user)";
constexpr std::string_view kAsConfigured = "configured";
constexpr const char* kUserInviteExamples = R"(Examples:
  bosonserver user invite                         # for one account, for a week
  bosonserver user invite --role operator --hours 24 --json | jq -r .invite)";

constexpr const char* kUserInvitesExamples = "Example:\n  bosonserver user invites          # those that are open";
constexpr const char* kUserRevokeExamples =
    "Example:\n  bosonserver user revoke-invite 018f…     # accounts that it made stay";

Json json_of(const UserRecord& user) {
  return {{"userId", to_string(user.id)},
          {"username", user.name},
          {"role", api::to_string(user.role)},
          {"disabled", user.disabled},
          {"createdAt", user.created_at}};
}

api::Role role_of(const std::string& name) { return api::parse_role(name).value_or(api::Role::kUser); }

SecretString new_password(const std::optional<std::string>& file) {
  auto password = read_password(file);
  if (password.reveal().size() < kShortestPassword)
    throw std::runtime_error("the password is shorter than " + std::to_string(kShortestPassword) + " characters");
  return password;
}

std::string and_ended(std::size_t tunnels) {
  return tunnels > 0 ? ", and ended " + std::to_string(tunnels) + " tunnels" : "";
}

/// Servers close the relay links of sessions that ended in the store.
int say(Console& console, const UserRecord& user, const std::string& text, std::size_t ended) {
  auto json = json_of(user);
  json["endedSessions"] = ended;
  return console.answer(json, text + and_ended(ended));
}

}  // namespace

UserCommands::UserCommands(CommandTable& table) {
  auto& group = table.add_group("user", "accounts, also while servers run", kUserExamples);
  const auto with_name = [this](CLI::App& command) -> CLI::App& {
    command.add_option("NAME", name_, "user name")->required();
    return command;
  };
  const auto is_role = CLI::IsMember({"user", "operator", "admin"});
  table.add(group, "list", "list accounts", kUserListExamples, list);
  auto& add_command = with_name(
      table.add(group, "add", "add an account", kUserAddExamples, [this](Console& console) { return add(console); }));
  add_command.add_option("--role", role_, "user, operator or admin")->check(is_role);
  add_command.add_option("--password-file", password_file_, "file with the password, - for standard input");
  with_name(table.add(group, "show", "what is known of an account", kUserShowExamples,
                      [this](Console& console) { return show(console); }));
  with_name(table.add(group, "disable", "close an account", kUserDisableExamples,
                      [this](Console& console) { return set_disabled(console, true); }));
  with_name(table.add(group, "enable", "open an account again", kUserEnableExamples,
                      [this](Console& console) { return set_disabled(console, false); }));
  auto& password = with_name(table.add(group, "passwd", "set a new password", kUserPasswordExamples,
                                       [this](Console& console) { return change_password(console); }));
  password.add_option("--password-file", password_file_, "file with the password, - for standard input");
  password.add_flag("--reset-totp", reset_totp_, "a login wants no one-time code any more");
  password.add_flag("--revoke-api-keys", revoke_api_keys_, "API keys end as well, which act without the password");
  with_name(table.add(group, "api-keys", "list API keys of an account", kUserApiKeysExamples,
                      [this](Console& console) { return list_api_keys(console); }));
  with_name(table.add(group, "revoke-api-key", "end an API key", kUserRevokeKeyExamples,
                      [this](Console& console) { return revoke_key(console); }))
      .add_option("ID", key_, "as `user api-keys` shows it")
      ->required();
  with_name(table.add(group, "role", "change a role", kUserRoleExamples,
                      [this](Console& console) { return set_role(console); }))
      .add_option("ROLE", role_, "user, operator or admin")
      ->required()
      ->check(is_role);
  with_name(table.add(group, "remove", "remove an account", kUserRemoveExamples,
                      [this](Console& console) { return remove(console); }));
  with_name(table.add(group, "quota", "set how much of the relay an account may use", kUserQuotaExamples,
                      [this](Console& console) { return set_quota(console); }))
      .add_option("BYTES", quota_, "bytes a month, both ways, or 'configured'")
      ->required();
  auto& invite_command = table.add(group, "invite", "make an invite, for POST /auth/register", kUserInviteExamples,
                                   [this](Console& console) { return invite(console); });
  invite_command.add_option("--role", role_, "of the accounts: user, operator or admin")->check(is_role);
  invite_command.add_option("--uses", uses_, "accounts that it is good for")->check(CLI::Range(1, 1000));
  table.add(group, "invites", "list invites that are open", kUserInvitesExamples, list_invites);
  table
      .add(group, "revoke-invite", "end an invite", kUserRevokeExamples,
           [this](Console& console) { return revoke_invite(console); })
      .add_option("ID", invite_, "as `user invites` shows it")
      ->required();
  invite_command.add_option("--hours", hours_, "that it is good for")->check(CLI::Range(1, 366 * 24));
}

int UserCommands::list(Console& console) {
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (std::string after;;) {
    const auto page = must(console.store().users(after, kMaxPage));
    for (const auto& user : page) {
      all.push_back(json_of(user));
      rows.push_back({user.name, std::string(api::to_string(user.role)), user.disabled ? "disabled" : "",
                      time_text(user.created_at), to_string(user.id)});
    }
    if (page.size() < kMaxPage) break;
    after = page.back().name;
  }
  return console.answer(all, table({"NAME", "ROLE", "STATE", "CREATED", "ID"}, rows));
}

int UserCommands::add(Console& console) const {
  if (const auto fault = fault_of_user_name(name_)) throw std::runtime_error("the user name " + *fault);
  console.begin("user.create", name_);
  UserRecord user;
  user.id = UserId(Uuid::random(console.random()));
  user.name = name_;
  user.password_hash = crypto::hash_password(new_password(password_file_), console.random());
  user.role = role_of(role_);
  user.created_at = console.now();
  const auto added = console.store().add_user(user);
  if (!added && added.error() == StoreError::kExists) throw std::runtime_error("there is a user " + name_ + " already");
  must(added);
  console.audit("ok: " + role_);
  return console.answer(json_of(user), "added " + role_ + " " + name_);
}

int UserCommands::show(Console& console) const {
  const auto user = console.user(name_);
  const auto totp = console.store().totp(user.id);
  const bool codes = totp && totp->confirmed;
  const auto keys = must(console.store().api_keys(user.id));
  const auto tunnels = must(console.store().live_sessions_of_user(user.id));
  const auto period = quota_period_at(console.now());
  const auto relay = must(console.store().relay_account(user.id, period.number));
  const auto quota = relay.quota(console.settings().api.relay_quota_bytes);
  auto json = json_of(user);
  json["relay"] = {{"usedBytes", relay.used_bytes},
                   {"quotaBytes", quota ? Json(*quota) : Json(nullptr)},
                   {"ownQuota", relay.own_quota_bytes.has_value()},
                   {"resetsAt", period.ends_at}};
  json["totp"] = codes;
  json["recoveryCodesLeft"] = codes ? totp->recovery_codes : 0;
  json["liveSessions"] = tunnels;
  json["apiKeys"] = Json::array();
  std::string names;
  for (const auto& key : keys) {
    json["apiKeys"].push_back({{"id", key.id}, {"name", key.name}, {"role", api::to_string(key.role)}});
    names += (names.empty() ? "" : ", ") + key.name;
  }
  const auto text = "name      " + user.name + "\nid        " + to_string(user.id) + "\nrole      " +
                    std::string(api::to_string(user.role)) + (user.disabled ? " (disabled)" : "") + "\ncreated   " +
                    time_text(user.created_at) + "\ntotp      " + (codes ? "on" : "off") + "\ntunnels   " +
                    std::to_string(tunnels) + "\nrelay     " + std::to_string(relay.used_bytes) +
                    (quota ? " of " + std::to_string(*quota) + " bytes" : " bytes") + " until " +
                    time_text(period.ends_at) + "\nAPI keys  " + (names.empty() ? "none" : names);
  return console.answer(json, text);
}

int UserCommands::set_disabled(Console& console, bool disabled) const {
  console.begin("user.update", name_);
  const auto changed = must(console.store().change_user(console.user(name_).id, {.disabled = disabled}, console.now()));
  console.audit(disabled ? "ok: disabled" : "ok: enabled");
  return say(console, changed.user, (disabled ? "disabled " : "enabled ") + name_, changed.ended.size());
}

int UserCommands::change_password(Console& console) const {
  console.begin("user.update", name_);
  const auto user = console.user(name_);
  const auto hash = crypto::hash_password(new_password(password_file_), console.random());
  const auto changed = must(console.store().change_user(user.id, {.password_hash = hash}, console.now()));
  console.audit("ok: password");
  if (reset_totp_) {
    console.begin("user.update", name_);
    const auto removed = console.store().remove_totp(user.id);
    if (!removed && removed.error() != StoreError::kNotFound) must(removed);
    console.audit("ok: totp removed");
  }
  if (revoke_api_keys_) {
    console.begin("user.update", name_);
    console.audit("ok: revoked " + std::to_string(must(revoke_api_keys(console.store(), user.id))) + " API keys");
  }
  const auto keys = must(console.store().api_keys(user.id)).size();
  const auto ended = changed.ended.size();
  auto json = json_of(user);
  json["endedSessions"] = ended;
  json["apiKeysLeft"] = keys;
  auto text = "changed the password of " + name_ + and_ended(ended);
  // They are for programs, which a new password must not stop; a thief's would stay with them.
  if (keys > 0)
    text += "\n" + std::to_string(keys) + (keys == 1 ? " API key stands" : " API keys stand") +
            ": `bosonserver user api-keys " + name_ + "` lists, --revoke-api-keys ends them";
  return console.answer(json, text);
}

int UserCommands::set_role(Console& console) const {
  console.begin("user.update", name_);
  const auto role = role_of(role_);
  const auto changed = must(console.store().change_user(console.user(name_).id, {.role = role}, console.now()));
  console.audit("ok: role=" + role_);
  return say(console, changed.user, name_ + " is " + role_ + " now", 0);
}

int UserCommands::remove(Console& console) const {
  console.begin("user.delete", name_);
  const auto user = console.user(name_);
  const auto ended = must(console.store().remove_user(user.id, console.now()));
  console.audit("ok");
  return say(console, user, "removed " + name_, ended.size());
}

int UserCommands::set_quota(Console& console) const {
  console.begin("user.update", name_);
  const auto user = console.user(name_);
  std::optional<std::uint64_t> bytes;
  if (quota_ != kAsConfigured) {
    bytes = parse_number<std::uint64_t>(quota_);
    if (!bytes || *bytes > kLargestQuotaBytes)
      throw std::runtime_error("'" + quota_ + "' is neither a number of bytes nor 'configured'");
  }
  must(console.store().set_relay_quota(user.id, bytes));
  console.audit("ok: relay-quota=" + quota_);
  auto json = json_of(user);
  json["relayQuota"] = bytes ? Json(*bytes) : Json(nullptr);
  return console.answer(json, name_ + (bytes ? " may send " + quota_ + " bytes a month over the relay"
                                             : " has the configured relay quota"));
}

int UserCommands::invite(Console& console) const {
  const auto made = make_invite(console.random(), role_of(role_), uses_, std::int64_t{hours_} * 3600,
                                std::string(kConsole), console.now());
  console.begin("invite.create", made.record.id);
  must(console.store().add_invite(made.record));
  console.audit("ok: " + role_);
  const std::string secret(made.secret.reveal());
  return console.answer({{"id", made.record.id},
                         {"invite", secret},
                         {"role", role_},
                         {"uses", uses_},
                         {"expiresAt", made.record.expires_at}},
                        secret);
}

int UserCommands::list_invites(Console& console) {
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (std::string after;;) {
    const auto page = must(console.store().invites(after, kMaxPage, console.now()));
    for (const auto& invite : page) {
      const std::string role(api::to_string(invite.role));
      all.push_back({{"id", invite.id},
                     {"role", role},
                     {"usesLeft", invite.uses_left},
                     {"createdBy", invite.created_by},
                     {"createdAt", invite.created_at},
                     {"expiresAt", invite.expires_at}});
      rows.push_back({invite.id, role, std::to_string(invite.uses_left), time_text(invite.expires_at),
                      time_text(invite.created_at), invite.created_by});
    }
    if (page.size() < kMaxPage) break;
    after = page.back().id;
  }
  return console.answer(all, table({"ID", "ROLE", "USES LEFT", "EXPIRES", "CREATED", "BY"}, rows));
}

int UserCommands::revoke_invite(Console& console) const {
  console.begin("invite.revoke", invite_);
  const auto removed = console.store().remove_invite(invite_);
  if (!removed && removed.error() == StoreError::kNotFound)
    throw std::runtime_error("there is no invite " + invite_ + " (any more)");
  must(removed);
  console.audit("ok");
  return console.answer({{"id", invite_}}, "revoked the invite " + invite_);
}

int UserCommands::list_api_keys(Console& console) const {
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows;
  const auto time_or = [](const std::optional<std::int64_t>& time, const char* none) {
    return time ? time_text(*time) : none;
  };
  for (const auto& key : must(console.store().api_keys(console.user(name_).id))) {
    const std::string role(api::to_string(key.role));
    all.push_back({{"id", key.id},
                   {"name", key.name},
                   {"role", role},
                   {"createdAt", key.created_at},
                   {"expiresAt", key.expires_at ? Json(*key.expires_at) : Json(nullptr)},
                   {"lastUsedAt", key.last_used_at ? Json(*key.last_used_at) : Json(nullptr)}});
    rows.push_back({key.id, key.name, role, time_text(key.created_at), time_or(key.expires_at, "never"),
                    time_or(key.last_used_at, "never")});
  }
  return console.answer(all, table({"ID", "NAME", "ROLE", "CREATED", "EXPIRES", "LAST USED"}, rows));
}

int UserCommands::revoke_key(Console& console) const {
  console.begin("api-key.delete", key_);
  const auto revoked = revoke_api_key(console.store(), console.user(name_).id, key_);
  if (!revoked && revoked.error() == StoreError::kNotFound)
    throw std::runtime_error(name_ + " has no API key " + key_ + " (any more)");
  const auto name = must(revoked).name;
  console.audit("ok: " + name + " of " + name_);
  return console.answer({{"id", key_}, {"name", name}}, "revoked the API key " + name + " of " + name_);
}

}  // namespace higgs::boson
