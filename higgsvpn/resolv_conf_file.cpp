#include "higgsvpn/resolv_conf_file.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "higgsvpn/dns.h"
#include "runtime/files.h"

namespace higgs::vpn {
namespace {

namespace fs = std::filesystem;

fs::path temporary_of(const fs::path& path) {
  return path.parent_path() / ("." + path.filename().string() + ".higgsvpn");
}

// A file of ours, whole or torn by a crash while it was written.
bool is_ours(std::string_view content) {
  return content.starts_with(kResolvConfMarker) || kResolvConfMarker.starts_with(content);
}

Result<void> put_back_link(const fs::path& path, const std::string& target) {
  const fs::path temporary = temporary_of(path);
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0) return errno_code();
  if (::rename(temporary.c_str(), path.c_str()) == 0) return {};
  const ErrorCode error = errno_code();
  ::unlink(temporary.c_str());
  return error;
}

}  // namespace

Result<ResolvConfFile> ResolvConfFile::look(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (status.type() == fs::file_type::not_found) return ResolvConfFile{};
  if (status.type() == fs::file_type::symlink) {
    fs::path target = fs::read_symlink(path, error);
    if (error) return errno_code(error.value());
    return ResolvConfFile{Kind::kLink, {}, std::move(target)};
  }
  auto content = runtime::read_file(path);
  if (!content) return content.error();
  return ResolvConfFile{Kind::kFile, std::move(*content), {}};
}

tunnel::UndoStep undo_step_of(const fs::path& path, const ResolvConfFile& before) {
  tunnel::UndoStep step{kResolvConfUndoKind, {{"path", path.string()}}};
  switch (before.kind) {
    case ResolvConfFile::Kind::kAbsent:
      step.fields["was"] = "absent";
      break;
    case ResolvConfFile::Kind::kFile:
      step.fields["was"] = "file";
      step.fields["content"] = before.content;
      break;
    case ResolvConfFile::Kind::kLink:
      step.fields["was"] = "link";
      step.fields["target"] = before.link_target.string();
      break;
  }
  return step;
}

Result<void> undo_resolv_conf(const tunnel::UndoStep& step) {
  const auto field = [&](const char* name) {
    const auto found = step.fields.find(name);
    return found == step.fields.end() ? std::string() : found->second;
  };
  const fs::path path = field("path");
  const std::string was = field("was"), content = field("content");
  if (path.empty()) return tunnel::JournalError::kDamaged;
  ::unlink(temporary_of(path).c_str());
  const auto now = ResolvConfFile::look(path);
  if (!now) return now.error();
  // A symlink is never ours, and a file with foreign text is somebody's newer word.
  if (now->kind == ResolvConfFile::Kind::kLink) return {};
  const bool ours = now->kind == ResolvConfFile::Kind::kFile && is_ours(now->content);
  if (was == "link") {
    return ours || now->kind == ResolvConfFile::Kind::kAbsent ? put_back_link(path, field("target")) : Result<void>();
  }
  if (was == "absent") return ours ? runtime::remove_file(path) : Result<void>();
  const bool torn = now->kind == ResolvConfFile::Kind::kFile && content.starts_with(now->content);
  if (now->kind == ResolvConfFile::Kind::kAbsent || ((ours || torn) && now->content != content)) {
    return write_in_place(path, content);
  }
  return {};
}

Result<void> write_in_place(const fs::path& path, std::string_view content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return errno_code();
  // Overwritten first and cut afterwards: a reader in between sees the new text, or the new with an end of the old,
  // never an empty file.
  const bool written = ::pwrite(fd, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size()) &&
                       ::ftruncate(fd, static_cast<off_t>(content.size())) == 0 && ::fsync(fd) == 0;
  const ErrorCode error = errno_code();
  ::close(fd);
  return written ? Result<void>() : Result<void>(error);
}

Result<void> replace_by_file(const fs::path& path, std::string_view content) {
  const fs::path temporary = temporary_of(path);
  ::unlink(temporary.c_str());
  if (const auto written = write_in_place(temporary, content); !written) return written;
  if (::rename(temporary.c_str(), path.c_str()) == 0) return {};
  const ErrorCode error = errno_code();
  ::unlink(temporary.c_str());
  return error;
}

}  // namespace higgs::vpn
