// Files as the checkpoints need them. A rank owns one file system, so that tests can put faults, kills and counters
// between the program and the disk in one place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "device/stream.hpp"

namespace ferula {

/// Bytes on disk that are not what was written: truncated, changed or missing. An earlier checkpoint may still be good.
class DamageError : public DataError {
 public:
  using DataError::DataError;
};

/// An open file. Errors name the path, the operation and the system's reason.
class File {
 public:
  virtual ~File() = default;
  virtual const std::string& path() const = 0;
  virtual std::int64_t bytes() = 0;
  /// Fills `target`. DamageError where the file ends before.
  virtual void read_at(std::int64_t position, std::span<std::byte> target) = 0;
  /// Writes all of `source`. CapacityError where the disk or the quota is full.
  virtual void write_at(std::int64_t position, std::span<const std::byte> source) = 0;
  /// Blocks until the disk has it (fsync). After a failure the file's content is unknown: never retry, write anew.
  virtual void sync() = 0;

  /// The same as tasks of `stream`: on a side stream they run beside the caller, one after the other. File and memory
  /// must stay, the memory untouched, until the stream has done them. Errors come out of the stream.
  void start_read(Stream& stream, std::int64_t position, std::span<std::byte> target);
  void start_write(Stream& stream, std::int64_t position, std::span<const std::byte> source);
  void start_sync(Stream& stream);
};

enum class OpenMode : std::uint8_t {
  read,
  update,  // read and write a file that exists
  create,  // a new file; one that exists is an error
};

enum class Replace : std::uint8_t { never, existing };

struct FreeSpace {
  std::int64_t bytes = 0;
  std::int64_t files = 0;  // inodes; the largest number where the file system has no limit
};

/// Keeps a file locked while it lives. The operating system lets go of it at the latest when the process ends, however
/// that ends.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

struct LockAttempt {
  enum class State : std::uint8_t {
    taken,
    busy,         // somebody else has it
    unsupported,  // the file system has no locks
  };
  State state = State::unsupported;
  std::unique_ptr<FileLock> lock = nullptr;  // of `taken`
  std::string note = {};                     // of `busy`: what the holder wrote; of `unsupported`: the system's reason
};

/// Paths are as the operating system takes them. Throws DamageError for what is missing, CapacityError for a full disk,
/// DeviceError for anything else.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual std::unique_ptr<File> open(const std::string& path, OpenMode mode) = 0;
  virtual bool exists(const std::string& path) = 0;
  virtual bool is_directory(const std::string& path) = 0;
  /// Names in a directory in alphabetical order; none where it is missing.
  virtual std::vector<std::string> list(const std::string& directory) = 0;
  /// With its parents; fine where it exists.
  virtual void make_directory(const std::string& path) = 0;
  /// Makes the names in a directory durable (fsync of the directory).
  virtual void sync_directory(const std::string& path) = 0;
  /// Atomic. With `Replace::never` an existing target is an error.
  virtual void rename(const std::string& from, const std::string& to, Replace replace) = 0;
  /// A file, or a directory with everything in it; fine where it is missing.
  virtual void remove(const std::string& path) = 0;
  virtual FreeSpace free_space(const std::string& directory) = 0;
  /// Does not wait. The file is made where it is missing, holds `note` while it is locked, and goes with the lock.
  virtual LockAttempt try_lock(const std::string& path, std::string_view note) = 0;
};

std::unique_ptr<FileSystem> make_posix_file_system();

/// Temporary name, write, fsync, rename, fsync of the directory: afterwards the whole content is there, or nothing of
/// it. Not for two writers of one path at once.
void write_file_atomically(FileSystem& files, const std::string& path, std::string_view text, Replace replace);
/// The whole content. DataError where it is larger than `limit_bytes`.
std::string read_file(FileSystem& files, const std::string& path, std::int64_t limit_bytes);

std::string join_path(std::string_view directory, std::string_view name);
/// The folder that holds `path`; "." for a bare name.
std::string parent_of(const std::string& path);

inline std::span<const std::byte> bytes_of_text(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace ferula
