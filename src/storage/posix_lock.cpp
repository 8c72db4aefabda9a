#include "storage/posix_lock.hpp"

#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "storage/posix_descriptor.hpp"

namespace ferula {
namespace {

constexpr std::size_t kMostNoteBytes = 1000;

/// Whether `path` still names the open file: another process may have removed or moved it before we got the lock.
bool is_at(int descriptor, const std::string& path) {
  struct stat open {};
  struct stat named {};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
         open.st_ino == named.st_ino;
}

class PosixLock final : public FileLock {
 public:
  PosixLock(Descriptor descriptor, std::string path) : descriptor_(std::move(descriptor)), path_(std::move(path)) {}
  /// Removes the file while it is still locked: whoever has it open sees that it has lost its name, and makes it anew.
  ~PosixLock() override {
    if (is_at(descriptor_.get(), path_)) ::unlink(path_.c_str());
  }
  int descriptor() const { return descriptor_.get(); }

 private:
  Descriptor descriptor_;
  std::string path_;
};

void write_note(int descriptor, const std::string& path, std::string_view note) {
  if (::ftruncate(descriptor, 0) == 0 &&
      uninterrupted([&] { return ::pwrite(descriptor, note.data(), note.size(), 0); }) == std::ssize(note))
    return;
  throw_system_error(errno, path, "write");
}

std::string read_note(int descriptor) {
  std::array<char, kMostNoteBytes> text{};
  const ssize_t count = uninterrupted([&] { return ::pread(descriptor, text.data(), text.size(), 0); });
  return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
}

bool has_no_locks(int code) { return code == ENOSYS || code == EOPNOTSUPP || code == ENOLCK; }

}  // namespace

LockAttempt try_posix_lock(const std::string& path, std::string_view note) {
  for (;;) {
    Descriptor descriptor = open_descriptor(path, O_RDWR | O_CREAT, "open for locking");
    if (uninterrupted([&] { return ::flock(descriptor.get(), LOCK_EX | LOCK_NB); }) == 0) {
      if (!is_at(descriptor.get(), path)) continue;
      auto lock = std::make_unique<PosixLock>(std::move(descriptor), path);
      write_note(lock->descriptor(), path, note);
      return {.state = LockAttempt::State::taken, .lock = std::move(lock)};
    }
    if (errno == EWOULDBLOCK) return {.state = LockAttempt::State::busy, .note = read_note(descriptor.get())};
    if (!has_no_locks(errno)) throw_system_error(errno, path, "lock");
    const std::string reason = std::strerror(errno);
    ::unlink(path.c_str());
    return {.state = LockAttempt::State::unsupported, .note = reason};
  }
}

std::optional<std::string> posix_lock_note(const std::string& path) {
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor) return std::nullopt;
  if (uninterrupted([&] { return ::flock(descriptor.get(), LOCK_SH | LOCK_NB); }) == 0) return std::nullopt;
  return errno == EWOULDBLOCK ? std::optional(read_note(descriptor.get())) : std::nullopt;
}

}  // namespace ferula
