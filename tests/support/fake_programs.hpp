// Programs of a test's own, which stand before those of the system.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "support/scratch_directory.hpp"

namespace ferula::test {

/// While it lives, PATH begins with a folder of shell scripts that the test has written.
class FakePrograms {
 public:
  FakePrograms() { ::setenv("PATH", (scratch_.path() + ":" + path_).c_str(), 1); }
  ~FakePrograms() { ::setenv("PATH", path_.c_str(), 1); }
  FakePrograms(const FakePrograms&) = delete;
  FakePrograms& operator=(const FakePrograms&) = delete;

  /// A program `name` with these lines of sh; $here is a folder that it may write to.
  void add(std::string_view name, std::string_view lines) const {
    const std::string file =
        scratch_.write(name, "#!/bin/sh\nhere=" + scratch_.path() + "\n" + std::string(lines) + "\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  }

 private:
  ScratchDirectory scratch_;
  std::string path_ = ::getenv("PATH");
};

}  // namespace ferula::test
