// `bosonserver user …`: accounts.
#pragma once

#include <optional>
#include <string>

#include "bosonserver/cli/command_table.h"

namespace higgs::boson {

class UserCommands {
 public:
  /// The table refers to this object.
  explicit UserCommands(CommandTable& table);
  UserCommands(const UserCommands&) = delete;
  UserCommands& operator=(const UserCommands&) = delete;

 private:
  static int list(Console& console);
  int add(Console& console) const;
  int show(Console& console) const;
  int set_disabled(Console& console, bool disabled) const;
  int change_password(Console& console) const;
  int set_role(Console& console) const;
  int remove(Console& console) const;
  int invite(Console& console) const;
  static int list_invites(Console& console);
  int revoke_invite(Console& console) const;
  int set_quota(Console& console) const;
  int list_api_keys(Console& console) const;
  int revoke_key(Console& console) const;

  std::string name_, role_ = "user", quota_, invite_, key_;
  std::optional<std::string> password_file_;
  bool reset_totp_ = false, revoke_api_keys_ = false;
  std::uint32_t uses_ = 1, hours_ = 7 * 24;
};

}  // namespace higgs::boson
