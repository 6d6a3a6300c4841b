#include "bosonserver/cluster/server_directory.h"

#include <algorithm>

#include "runtime/log.h"

namespace higgs::boson {
namespace {

constexpr const char* kServers = "server";

std::string key_of(ServerId server) { return std::string(kServers) + "/" + to_string(server); }

const ServerPulse* find_pulse(const std::map<ServerId, ServerPulse>& pulses, ServerId server) {
  const auto found = pulses.find(server);
  return found == pulses.end() ? nullptr : &found->second;
}

}  // namespace

void ServerDirectory::refresh(const ServerEntry& self) {
  const auto now = clock_();
  {
    const std::lock_guard lock(mutex_);
    self_ = self;
  }
  (void)presence_.set(key_of(self.id), encode_pulse(self.pulse()), kServerSilence);
  (void)store_.record_server(self.id, encode_entry(self), unix_seconds(now.wall));
  const auto pulses = ask_presence();
  const bool stored = ask_store(self.id, now);
  judge(pulses, stored, now.monotonic);

  std::vector<ServerEntry> found;
  for (const auto& [id, server] : vouched_)
    if (server.lives) found.push_back(server.entry);
  const std::lock_guard lock(mutex_);
  if (found.size() != others_.size()) runtime::log::info("servers of the cluster", {{"others", found.size()}});
  others_ = std::move(found);
}

void ServerDirectory::leave() {
  const auto self = this->self();
  (void)presence_.erase(key_of(self.id), encode_pulse(self.pulse()));
  (void)store_.remove_server(self.id);
}

std::optional<ServerDirectory::Pulses> ServerDirectory::ask_presence() {
  const auto all = presence_.all(kServers);
  if (!all) return std::nullopt;
  Pulses pulses;
  for (const auto& said : *all) {
    const auto id = parse_id<ServerId>(said.name);
    const auto pulse = decode_pulse(said.value);
    if (id && pulse) pulses.emplace(*id, *pulse);
  }
  return pulses;
}

bool ServerDirectory::ask_store(ServerId self, Now now) {
  const auto wall = unix_seconds(now.wall);
  const auto all = store_.servers(wall - std::chrono::seconds(kDirectoryGrace).count());
  if (!all) return false;
  std::map<ServerId, Vouched> vouched;
  for (const auto& record : *all) {
    const auto entry = decode_entry(record.entry_json);
    if (!entry || entry->id == self) continue;
    const std::chrono::seconds age(std::max<std::int64_t>(0, wall - record.last_seen));
    const auto before = vouched_.find(entry->id);
    const bool shares_presence = before != vouched_.end() && before->second.shares_presence;
    vouched.emplace(entry->id, Vouched{*entry, now.monotonic - age, shares_presence, age < kServerSilence});
  }
  vouched_ = std::move(vouched);
  return true;
}

void ServerDirectory::judge(const std::optional<Pulses>& pulses, bool stored, Instant now) {
  if (!pulses)
    presence_since_.reset();
  else if (!presence_since_)
    presence_since_ = now;
  // One that has just come back is empty, and knows only who has spoken since.
  const bool silence_counts = pulses && now - *presence_since_ >= kServerSilence;
  std::erase_if(vouched_, [&](const auto& known) { return now - known.second.spoke > kDirectoryGrace; });
  for (auto& [id, server] : vouched_) {
    if (const auto* const pulse = pulses ? find_pulse(*pulses, id) : nullptr) {
      server.entry.load = pulse->load;
      server.entry.draining = pulse->draining;
      server.lives = server.shares_presence = true;
    } else if (!stored && silence_counts && server.shares_presence) {
      server.lives = false;
    }
  }
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
