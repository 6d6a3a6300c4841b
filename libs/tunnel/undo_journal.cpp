#include "tunnel/undo_journal.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"

HIGGS_ERROR_CATEGORY(higgs::tunnel, JournalError, "tunnel.journal") {
  switch (error) {
    case JournalError::kUnreadable:
      return "the journal of changes to undo cannot be read";
    case JournalError::kUnwritable:
      return "the journal of changes to undo cannot be written: is the disk full?";
    case JournalError::kDamaged:
      return "the journal of changes to undo is damaged";
    case JournalError::kFull:
      return "the journal of changes to undo has too many steps";
  }
  return "unknown journal error";
}

namespace higgs::tunnel {
namespace {

using nlohmann::json;

// Values may hold any bytes (a resolv.conf in Latin-1), which JSON text cannot.
std::string encode(std::uint64_t number, const UndoStep& step) {
  json fields = json::object();
  for (const auto& [name, value] : step.fields) fields[name] = to_base64(as_bytes(value));
  return json{{"number", number}, {"undo", step.kind}, {"fields", fields}}.dump() + "\n";
}

std::optional<UndoStep> decode(const json& line) {
  const auto kind = line.find("undo"), fields = line.find("fields");
  if (kind == line.end() || !kind->is_string() || fields == line.end() || !fields->is_object()) return std::nullopt;
  UndoStep step{kind->get<std::string>(), {}};
  for (const auto& [name, value] : fields->items()) {
    if (!value.is_string()) return std::nullopt;
    const auto bytes = from_base64(value.get<std::string>());
    if (!bytes) return std::nullopt;
    step.fields[name] = std::string(as_text(*bytes));
  }
  return step;
}

void sync_directory_of(const std::filesystem::path& file) noexcept {
  const int fd = ::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

std::optional<std::string> read_sysctl(const std::string& name) {
  std::ifstream file("/proc/sys/" + name);
  std::string value;
  if (!file || !std::getline(file, value)) return std::nullopt;
  return value;
}

bool write_sysctl(const std::string& name, const std::string& value) {
  const int fd = ::open(("/proc/sys/" + name).c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = ::write(fd, value.data(), value.size()) == static_cast<ssize_t>(value.size());
  const int error = errno;
  ::close(fd);
  errno = error;
  return written;
}

/// Another one after each start of the machine; nullopt: not known.
std::optional<std::string> boot_id() { return read_sysctl("kernel/random/boot_id"); }

/// `over`: the value that undoing may write over.
UndoStep sysctl_step(const std::string& name, const std::string& value, const std::string& over) {
  UndoStep step{"sysctl", {{"name", name}, {"value", value}, {"over", over}}};
  if (auto boot = boot_id()) step.fields["boot"] = std::move(*boot);
  return step;
}

}  // namespace

UndoJournal::UndoJournal(UndoJournal&& other) noexcept
    : file_(std::move(other.file_)),
      fd_(std::exchange(other.fd_, -1)),
      next_(other.next_),
      standing_(std::move(other.standing_)) {}

UndoJournal& UndoJournal::operator=(UndoJournal&& other) noexcept {
  if (this != &other) {
    close();
    file_ = std::move(other.file_);
    fd_ = std::exchange(other.fd_, -1);
    next_ = other.next_;
    standing_ = std::move(other.standing_);
  }
  return *this;
}

UndoJournal::~UndoJournal() { close(); }

void UndoJournal::close() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<UndoJournal> UndoJournal::open(std::filesystem::path file) {
  UndoJournal journal(std::move(file));
  if (const auto loaded = journal.load(); !loaded) return loaded.error();
  return journal;
}

Result<void> UndoJournal::load() {
  std::error_code missing;
  if (!std::filesystem::exists(file_, missing)) return {};
  std::ifstream in(file_, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  if (!in) return JournalError::kUnreadable;
  const std::string text = all.str();
  std::size_t start = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', start)) {
    const json line = json::parse(text.substr(start, end - start), nullptr, false);
    start = end + 1;
    const auto number = line.is_object() ? line.find("number") : line.end();
    if (!line.is_object() || number == line.end() || !number->is_number_unsigned()) return JournalError::kDamaged;
    next_ = std::max(next_, number->get<std::uint64_t>() + 1);
    if (line.contains("undone")) {
      std::erase_if(standing_, [&](const Numbered& step) { return step.number == number->get<std::uint64_t>(); });
      continue;
    }
    auto step = decode(line);
    if (!step) return JournalError::kDamaged;
    standing_.push_back({number->get<std::uint64_t>(), std::move(*step)});
  }
  // A torn line is cut off, or the next record would be glued to it.
  if (start < text.size()) std::filesystem::resize_file(file_, start, missing);
  return missing ? Result<void>(JournalError::kUnwritable) : Result<void>();
}

std::vector<UndoStep> UndoJournal::steps() const {
  std::vector<UndoStep> result;
  for (const Numbered& entry : standing_) result.push_back(entry.step);
  return result;
}

Result<void> UndoJournal::append(const std::string& line) {
  const bool fresh = fd_ < 0;
  if (fresh) fd_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd_ < 0) return JournalError::kUnwritable;
  const off_t before = ::lseek(fd_, 0, SEEK_END);
  if (::write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size()) || ::fsync(fd_) != 0) {
    // Half a line would be taken for damage by the next record.
    if (::ftruncate(fd_, before) != 0) close();
    return JournalError::kUnwritable;
  }
  if (fresh) sync_directory_of(file_);
  return {};
}

Result<void> UndoJournal::record(const UndoStep& step) {
  for (const Numbered& entry : standing_) {
    if (entry.step == step) return {};
  }
  if (standing_.size() >= kMaxSteps) return JournalError::kFull;
  const std::uint64_t number = next_++;
  if (const auto written = append(encode(number, step)); !written) return written;
  standing_.push_back({number, step});
  return {};
}

std::vector<UndoFailure> UndoJournal::undo(const UndoHandlers& handlers,
                                           const std::function<bool(const UndoStep&)>& keep) {
  std::vector<UndoFailure> failures;
  std::vector<Numbered> left;
  for (auto entry = standing_.rbegin(); entry != standing_.rend(); ++entry) {
    if (keep && keep(entry->step)) {
      left.push_back(*entry);
      continue;
    }
    const auto handler = handlers.find(entry->step.kind);
    const Result<void> undone =
        handler != handlers.end() ? handler->second(entry->step) : Result<void>(JournalError::kDamaged);
    if (!undone) {
      failures.push_back({entry->step, undone.error().message()});
      left.push_back(*entry);
      continue;
    }
    // Not being able to strike it out is harmless: undoing is idempotent.
    (void)append(json{{"number", entry->number}, {"undone", true}}.dump() + "\n");
  }
  std::reverse(left.begin(), left.end());
  standing_ = std::move(left);
  if (standing_.empty()) {
    close();
    if (::unlink(file_.c_str()) == 0) sync_directory_of(file_);
  }
  return failures;
}

Result<void> set_sysctl(UndoJournal& journal, const std::string& name, const std::string& value) {
  const auto present = read_sysctl(name);
  if (!present) return errno_code(ENOENT);
  if (*present == value) return {};
  if (const auto recorded = journal.record(sysctl_step(name, *present, value)); !recorded) return recorded;
  if (!write_sysctl(name, value)) return errno_code();
  return {};
}

Result<void> remember_sysctl(UndoJournal& journal, const std::string& name, const std::string& follows) {
  const auto present = read_sysctl(name);
  return present ? journal.record(sysctl_step(name, *present, follows)) : Result<void>();
}

UndoHandler sysctl_undo_handler() {
  return [](const UndoStep& step) -> Result<void> {
    const auto name = step.fields.find("name"), value = step.fields.find("value"), over = step.fields.find("over"),
               boot = step.fields.find("boot"), none = step.fields.end();
    if (name == none || value == none || name->second.find("..") != std::string::npos) return JournalError::kDamaged;
    if (boot != none && boot_id().value_or(boot->second) != boot->second) return {};
    if (over != none && read_sysctl(name->second).value_or(over->second) != over->second) return {};
    if (!write_sysctl(name->second, value->second) && errno != ENOENT) return errno_code();
    return {};
  };
}

}  // namespace higgs::tunnel
