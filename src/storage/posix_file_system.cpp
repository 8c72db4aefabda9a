// Files through the system calls of Linux.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <system_error>

#include "storage/file_system.hpp"
#include "storage/posix_descriptor.hpp"
#include "storage/posix_lock.hpp"
#include "storage/system_error.hpp"

namespace ferula {
namespace {

class PosixFile final : public File {
 public:
  PosixFile(Descriptor descriptor, std::string path) : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  const std::string& path() const override { return path_; }

  std::int64_t bytes() override {
    struct stat status {};
    if (::fstat(descriptor_.get(), &status) != 0) throw_system_error(errno, path_, "ask for the size");
    return status.st_size;
  }

  void read_at(std::int64_t position, std::span<std::byte> target) override {
    for (std::size_t done = 0; done < target.size();) {
      const auto rest = target.subspan(done);
      const std::int64_t from = position + static_cast<std::int64_t>(done);
      const ssize_t count =
          uninterrupted([&] { return ::pread(descriptor_.get(), rest.data(), rest.size(), static_cast<off_t>(from)); });
      if (count < 0) throw_system_error(errno, path_, fmt::format("read {} bytes at {}", rest.size(), from));
      if (count == 0)
        throw DamageError(fmt::format("{}: expected {} bytes at byte {}, found the end of the file at {}", path_,
                                      target.size(), position, from));
      done += static_cast<std::size_t>(count);
    }
  }

  void write_at(std::int64_t position, std::span<const std::byte> source) override {
    for (std::size_t done = 0; done < source.size();) {
      const auto rest = source.subspan(done);
      const std::int64_t to = position + static_cast<std::int64_t>(done);
      const ssize_t count =
          uninterrupted([&] { return ::pwrite(descriptor_.get(), rest.data(), rest.size(), static_cast<off_t>(to)); });
      if (count <= 0)
        throw_system_error(count == 0 ? ENOSPC : errno, path_, fmt::format("write {} bytes at {}", rest.size(), to));
      done += static_cast<std::size_t>(count);
    }
  }

  void sync() override {
    if (::fsync(descriptor_.get()) != 0) throw_system_error(errno, path_, "fsync");
  }

 private:
  Descriptor descriptor_;
  std::string path_;
};

class PosixFileSystem final : public FileSystem {
 public:
  std::unique_ptr<File> open(const std::string& path, OpenMode mode) override {
    switch (mode) {
      case OpenMode::read:
        return std::make_unique<PosixFile>(open_descriptor(path, O_RDONLY, "open"), path);
      case OpenMode::update:
        return std::make_unique<PosixFile>(open_descriptor(path, O_RDWR, "open for writing"), path);
      case OpenMode::create:
        return std::make_unique<PosixFile>(open_descriptor(path, O_RDWR | O_CREAT | O_EXCL, "create"), path);
    }
    throw Error("unknown open mode");
  }

  bool exists(const std::string& path) override {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) return true;
    if (errno != ENOENT && errno != ENOTDIR) throw_system_error(errno, path, "look for it");
    return false;
  }

  bool is_directory(const std::string& path) override {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  }

  std::vector<std::string> list(const std::string& directory) override {
    std::vector<std::string> names;
    if (!exists(directory)) return names;
    std::error_code code;
    for (std::filesystem::directory_iterator entry(directory, code), end; !code && entry != end; entry.increment(code))
      names.push_back(entry->path().filename().string());
    if (code) throw_system_error(code.value(), directory, "list");
    std::sort(names.begin(), names.end());
    return names;
  }

  void make_directory(const std::string& path) override {
    std::error_code code;
    std::filesystem::create_directories(path, code);
    if (code) throw_system_error(code.value(), path, "make the directory");
  }

  void sync_directory(const std::string& path) override {
    const Descriptor descriptor = open_descriptor(path, O_RDONLY | O_DIRECTORY, "open the directory");
    if (::fsync(descriptor.get()) != 0) throw_system_error(errno, path, "fsync the directory");
  }

  void rename(const std::string& from, const std::string& to, Replace replace) override {
    const unsigned flags = replace == Replace::never ? RENAME_NOREPLACE : 0u;
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0) return;
    if (errno != EINVAL || flags == 0) throw_system_error(errno, from, "rename to " + to);
    // A file system without the flag (NFS, some Lustre): a directory that holds files is not replaced there either.
    if (exists(to)) throw_system_error(EEXIST, from, "rename to " + to);
    if (::rename(from.c_str(), to.c_str()) != 0) throw_system_error(errno, from, "rename to " + to);
  }

  void remove(const std::string& path) override {
    std::error_code code;
    std::filesystem::remove_all(path, code);
    if (code) throw_system_error(code.value(), path, "remove");
  }

  FreeSpace free_space(const std::string& directory) override {
    struct statvfs status {};
    if (::statvfs(directory.c_str(), &status) != 0) throw_system_error(errno, directory, "ask for the free space");
    const bool unlimited = status.f_files == 0;
    return {.bytes = static_cast<std::int64_t>(status.f_bavail * status.f_frsize),
            .files = unlimited ? std::numeric_limits<std::int64_t>::max() : static_cast<std::int64_t>(status.f_favail)};
  }

  LockAttempt try_lock(const std::string& path, std::string_view note) override { return try_posix_lock(path, note); }
};

}  // namespace

std::unique_ptr<FileSystem> make_posix_file_system() { return std::make_unique<PosixFileSystem>(); }

}  // namespace ferula
