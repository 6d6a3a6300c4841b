#include "bosonserver/cache/memory_presence.h"

namespace higgs::boson {

MemoryPresence::MemoryPresence(std::function<Instant()> clock, PresenceLimits limits)
    : clock_(std::move(clock)), limits_(limits) {}

Result<void> MemoryPresence::set(const std::string& key, const std::string& value, std::chrono::milliseconds ttl) {
  if (!presence_fits(key, value)) return PresenceError::kTooLarge;
  const PresenceKey at(key);
  const std::lock_guard lock(mutex_);
  return set_locked(directory_locked(at.directory), at.name, {value, clock_() + ttl});
}

Result<void> MemoryPresence::renew(const std::string& directory, const std::vector<std::string>& names,
                                   const std::string& value, std::chrono::milliseconds ttl) {
  for (const auto& name : names)
    if (!presence_fits(directory + "/" + name, value)) return PresenceError::kTooLarge;
  const std::lock_guard lock(mutex_);
  auto& there = directory_locked(directory);
  Result<void> done;
  for (const auto& name : names) {
    const auto found = there.entries.find(name);
    if (found != there.entries.end() && found->second.value != value) continue;
    if (const auto set = set_locked(there, name, {value, clock_() + ttl}); !set) done = set;
  }
  return done;
}

Result<std::optional<std::string>> MemoryPresence::get(const std::string& key) {
  const PresenceKey at(key);
  const std::lock_guard lock(mutex_);
  const auto& entries = directory_locked(at.directory).entries;
  const auto found = entries.find(at.name);
  return found == entries.end() ? std::nullopt : std::optional(found->second.value);
}

Result<bool> MemoryPresence::erase(const std::string& key, const std::string& only_if_value) {
  const PresenceKey at(key);
  const std::lock_guard lock(mutex_);
  auto& directory = directory_locked(at.directory);
  const auto found = directory.entries.find(at.name);
  if (found == directory.entries.end() || found->second.value != only_if_value) return false;
  erase_locked(directory, found);
  return true;
}

Result<std::vector<Presence::Entry>> MemoryPresence::all(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  const auto& entries = directory_locked(directory).entries;
  if (entries.size() > limits_.listed) return PresenceError::kTooMany;
  std::vector<Entry> list;
  for (const auto& [name, said] : entries) list.push_back({name, said.value});
  return list;
}

MemoryPresence::Directory& MemoryPresence::directory_locked(const std::string& name) {
  auto& directory = directories_[name];
  const auto now = clock_();
  while (!directory.ends.empty() && directory.ends.begin()->first <= now)
    erase_locked(directory, directory.entries.find(directory.ends.begin()->second));
  return directory;
}

Result<void> MemoryPresence::set_locked(Directory& directory, const std::string& name, Said said) const {
  if (const auto found = directory.entries.find(name); found != directory.entries.end()) erase_locked(directory, found);
  if (directory.entries.size() >= limits_.entries) return PresenceError::kFull;
  directory.ends.emplace(said.ends, name);
  directory.entries.emplace(name, std::move(said));
  return {};
}

void MemoryPresence::erase_locked(Directory& directory, std::map<std::string, Said>::iterator entry) {
  directory.ends.erase({entry->second.ends, entry->first});
  directory.entries.erase(entry);
}

}  // namespace higgs::boson
