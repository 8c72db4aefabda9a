// A file system that hands every call on to a real one: the base of those that differ in a single answer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/file_system.hpp"

namespace ferula {

class PassingFileSystem : public FileSystem {
 public:
  /// `real` outlives this object.
  explicit PassingFileSystem(FileSystem& real) : real_(&real) {}
  std::unique_ptr<File> open(const std::string& path, OpenMode mode) override { return real_->open(path, mode); }
  bool exists(const std::string& path) override { return real_->exists(path); }
  bool is_directory(const std::string& path) override { return real_->is_directory(path); }
  std::vector<std::string> list(const std::string& path) override { return real_->list(path); }
  void make_directory(const std::string& path) override { real_->make_directory(path); }
  void sync_directory(const std::string& path) override { real_->sync_directory(path); }
  void rename(const std::string& from, const std::string& to, Replace replace) override {
    real_->rename(from, to, replace);
  }
  void remove(const std::string& path) override { real_->remove(path); }
  FreeSpace free_space(const std::string& path) override { return real_->free_space(path); }
  LockAttempt try_lock(const std::string& path, std::string_view note) override { return real_->try_lock(path, note); }

 private:
  FileSystem* real_;
};

}  // namespace ferula
