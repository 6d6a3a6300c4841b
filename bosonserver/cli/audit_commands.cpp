#include "bosonserver/cli/audit_commands.h"

#include <stdexcept>

#include "base/base64.h"
#include "base/number.h"
#include "bosonserver/api/audit_check.h"

namespace higgs::boson {
namespace {

using Json = Console::Json;

constexpr const char* kAuditExamples = R"(Examples:
  bosonserver audit list --limit 20
  bosonserver audit verify)";
constexpr const char* kAuditListExamples = R"(Examples:
  bosonserver audit list
  bosonserver audit list --limit 10000 --json | jq '.[] | select(.action == "login" and .outcome != "ok")')";
constexpr const char* kAuditVerifyExamples = R"text(Examples:
  bosonserver audit verify                              # also while servers run
  bosonserver audit verify --json | jq -r .head >head   # to be kept elsewhere: it binds all that is before it
  bosonserver audit verify --head "$(cat head)"
Exit codes: 0 all is as it was written, 1 it is not.)text";

/// What "ID:HASH" names is there, as it was when the head was printed.
std::optional<AuditFault> fault_of_head(Store& store, const std::string& head) {
  const auto colon = head.find(':');
  const auto id = parse_number<std::int64_t>(std::string_view(head).substr(0, colon));
  const auto hash = colon == head.npos ? std::nullopt : from_base64url(std::string_view(head).substr(colon + 1));
  if (!hash || !id) throw std::runtime_error("--head is not ID:HASH, as `bosonserver audit verify` prints it");
  const auto chain = must(store.audit_chain());
  if (*id == chain.anchor_id && to_bytes(chain.anchor_hash) == *hash) return std::nullopt;
  const auto links = must(store.audit_links(*id - 1, 1));
  if (links.empty() || links.front().entry.id != *id) return AuditFault{*id, *id, "the head that was kept: not there"};
  if (to_bytes(links.front().hash) != *hash) return AuditFault{*id, *id, "the head that was kept: another now"};
  return std::nullopt;
}

std::string text_of(const AuditFault& fault) {
  const auto which = fault.first == fault.last
                         ? "entry " + std::to_string(fault.first)
                         : "entries " + std::to_string(fault.first) + " to " + std::to_string(fault.last);
  return which + ": " + fault.what + "\n";
}

}  // namespace

AuditCommands::AuditCommands(CommandTable& table) {
  auto& group = table.add_group("audit", "who did what", kAuditExamples);
  table
      .add(group, "list", "the newest entries, oldest of them first", kAuditListExamples,
           [this](Console& console) { return list(console); })
      .add_option("--limit", limit_, "at most so many")
      ->check(CLI::Range(1, 1'000'000));
  table
      .add(group, "verify", "find entries that were changed, removed, moved or put in", kAuditVerifyExamples,
           [this](Console& console) { return verify(console); })
      .add_option("--head", head_, "ID:HASH of an entry, as it was printed then");
}

int AuditCommands::list(Console& console) const {
  std::vector<AuditEntry> entries;
  for (std::optional<std::int64_t> before; entries.size() < limit_;) {
    const auto page = must(console.store().audit(before, std::min(limit_ - entries.size(), kMaxPage)));
    if (page.empty()) break;
    entries.insert(entries.end(), page.begin(), page.end());
    before = page.back().id;
  }
  Json all = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    all.push_back({{"id", entry->id},
                   {"time", entry->time},
                   {"actor", entry->actor},
                   {"address", entry->address},
                   {"action", entry->action},
                   {"object", entry->object},
                   {"outcome", entry->outcome}});
    rows.push_back({std::to_string(entry->id), time_text(entry->time), entry->actor, entry->address, entry->action,
                    entry->object, entry->outcome});
  }
  return console.answer(all, table({"ID", "TIME", "ACTOR", "ADDRESS", "ACTION", "OBJECT", "OUTCOME"}, rows));
}

int AuditCommands::verify(Console& console) const {
  auto report = must(check_audit(console.store()));
  if (head_) {
    if (auto fault = fault_of_head(console.store(), *head_)) {
      ++report.fault_count;
      report.faults.push_back(std::move(*fault));
    }
  }
  const auto head = std::to_string(report.chain.head_id) + ":" + to_base64url(report.chain.head_hash);
  Json json{{"ok", report.fault_count == 0},      {"verified", report.verified},
            {"beforeTheChain", report.unchained}, {"head", head},
            {"faultCount", report.fault_count},   {"faults", Json::array()}};
  std::string text;
  for (const auto& fault : report.faults) {
    json["faults"].push_back({{"first", fault.first}, {"last", fault.last}, {"what", fault.what}});
    text += text_of(fault);
  }
  if (report.fault_count > report.faults.size())
    text += "and " + std::to_string(report.fault_count - report.faults.size()) + " more\n";
  text += (report.fault_count == 0 ? "the audit is whole: " : "the audit was tampered with: ") +
          std::to_string(report.verified) + " entries are as they were written";
  if (report.unchained > 0) text += ", " + std::to_string(report.unchained) + " are older than the chain";
  console.answer(json, text + "\nhead " + head);
  return report.fault_count == 0 ? 0 : 1;
}

}  // namespace higgs::boson
