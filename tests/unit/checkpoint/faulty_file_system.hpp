// A file system in which one chosen operation fails, or all from one on, as if the process had died there.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "storage/file_system.hpp"

namespace ferula {

enum class Fault : std::uint8_t {
  one_error,  // the operation does nothing and throws
  death,      // and so do all after it
};

/// Counts every operation that changes or reads the disk and fails at number `at` (from 0; negative: never). It does
/// not wait for the disk in `sync`: the tests' machine keeps its power, and they stay fast.
class FaultyFileSystem final : public FileSystem {
 public:
  FaultyFileSystem(FileSystem& real, std::int64_t at, Fault fault) : real_(&real), at_(at), fault_(fault) {}

  std::int64_t operations() const { return next_; }
  bool failed() const { return failed_; }
  /// Counts one operation and throws where it is the one.
  void pass(const std::string& path);

  std::unique_ptr<File> open(const std::string& path, OpenMode mode) override;
  bool exists(const std::string& path) override { return pass(path), real_->exists(path); }
  bool is_directory(const std::string& path) override { return pass(path), real_->is_directory(path); }
  std::vector<std::string> list(const std::string& path) override { return pass(path), real_->list(path); }
  void make_directory(const std::string& path) override { pass(path), real_->make_directory(path); }
  void sync_directory(const std::string& path) override { pass(path); }
  void rename(const std::string& from, const std::string& to, Replace replace) override {
    pass(from), real_->rename(from, to, replace);
  }
  void remove(const std::string& path) override { pass(path), real_->remove(path); }
  FreeSpace free_space(const std::string& path) override { return pass(path), real_->free_space(path); }
  LockAttempt try_lock(const std::string& path, std::string_view note) override {
    return pass(path), real_->try_lock(path, note);
  }

 private:
  FileSystem* real_;
  std::int64_t at_;
  Fault fault_;
  std::atomic<std::int64_t> next_{0};  // ranks may share one
  std::atomic<bool> failed_{false};
};

}  // namespace ferula
