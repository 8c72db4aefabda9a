// A directory that a test may fill, removed with everything in it at the end.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>

namespace ferula {

class ScratchDirectory {
 public:
  ScratchDirectory() { std::filesystem::create_directories(root_); }
  ~ScratchDirectory() { std::filesystem::remove_all(root_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  std::string path() const { return root_.string(); }
  std::string path(const std::string& name) const { return (root_ / name).string(); }

 private:
  static int next() {
    static std::atomic<int> made{0};
    return made++;
  }
  std::filesystem::path root_ = std::filesystem::temp_directory_path() /
                                ("ferula-test-" + std::to_string(getpid()) + "-" + std::to_string(next()));
};

}  // namespace ferula
