#include "bosonserver/cluster/server_directory.h"

#include <algorithm>
#include <iterator>

#include "runtime/log.h"

namespace higgs::boson {
namespace {

constexpr const char* kDirectory = "server";

std::string key_of(ServerId server) { return std::string(kDirectory) + "/" + to_string(server); }

bool names(const std::vector<ServerEntry>& entries, ServerId id) {
  return std::any_of(entries.begin(), entries.end(), [&](const auto& entry) { return entry.id == id; });
}

std::vector<ServerEntry> without(std::vector<ServerEntry> entries, const std::vector<ServerEntry>& known) {
  std::erase_if(entries, [&](const auto& entry) { return names(known, entry.id); });
  return entries;
}

/// Who is in both counts as the first say.
std::vector<ServerEntry> joined(std::vector<ServerEntry> first, const std::vector<ServerEntry>& more) {
  auto added = without(more, first);
  first.insert(first.end(), std::make_move_iterator(added.begin()), std::make_move_iterator(added.end()));
  return first;
}

}  // namespace

void ServerDirectory::refresh(const ServerEntry& self) {
  const auto now = clock_();
  {
    const std::lock_guard lock(mutex_);
    self_ = self;
  }
  const auto json = encode_entry(self);
  (void)presence_.set(key_of(self.id), json, kServerSilence);
  (void)store_.record_server(self.id, json, unix_seconds(now.wall));
  auto present = ask_presence(self.id);
  auto stored = ask_store(self.id);
  const std::lock_guard lock(mutex_);
  if (!present && !stored) {
    if (now.monotonic - asked_ > kDirectoryGrace) others_.clear();
    return;
  }
  auto found = present ? std::move(*present) : std::vector<ServerEntry>();
  if (stored) {
    stored_ = without(std::move(*stored), found);
    stored_at_ = now.monotonic;
  } else if (now.monotonic - stored_at_ > kDirectoryGrace) {
    stored_.clear();
  }
  found = joined(std::move(found), stored_);
  if (found.size() != others_.size()) runtime::log::info("servers of the cluster", {{"others", found.size()}});
  others_ = std::move(found);
  asked_ = now.monotonic;
}

void ServerDirectory::leave() {
  const auto self = this->self();
  (void)presence_.erase(key_of(self.id), encode_entry(self));
  (void)store_.remove_server(self.id);
}

Result<std::vector<ServerEntry>> ServerDirectory::ask_presence(ServerId self) {
  const auto all = presence_.all(kDirectory);
  if (!all) return all.error();
  std::vector<ServerEntry> entries;
  for (const auto& said : *all)
    if (auto entry = decode_entry(said.value); entry && entry->id != self) entries.push_back(std::move(*entry));
  return entries;
}

Result<std::vector<ServerEntry>> ServerDirectory::ask_store(ServerId self) {
  const auto since = unix_seconds(clock_().wall) - std::chrono::seconds(kServerSilence).count();
  const auto all = store_.servers(since);
  if (!all) return all.error();
  std::vector<ServerEntry> entries;
  for (const auto& json : *all)
    if (auto entry = decode_entry(json); entry && entry->id != self) entries.push_back(std::move(*entry));
  return entries;
}

std::vector<ServerEntry> ServerDirectory::others() const {
  const std::lock_guard lock(mutex_);
  return others_;
}

ServerEntry ServerDirectory::self() const {
  const std::lock_guard lock(mutex_);
  return self_;
}

std::optional<ServerEntry> ServerDirectory::find(ServerId server) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(others_.begin(), others_.end(), [&](const auto& e) { return e.id == server; });
  return found == others_.end() ? std::nullopt : std::optional(*found);
}

bool ServerDirectory::lives(ServerId server) const { return find(server).has_value(); }

}  // namespace higgs::boson
