// Runs the built program as a user does, and looks at what it prints and leaves behind.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "support/scratch_directory.hpp"

namespace ferula::system_tests {

/// How a run of the program ended. `code` is 128 + n where signal n ended it.
struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

/// A folder of its own for one test, removed with everything in it; programs run inside.
class Workplace {
 public:
  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const { scratch_.write(name, text); }
  std::string read(const std::string& name) const;
  bool has(const std::string& name) const { return std::filesystem::exists(path_ / name); }

  /// `ferula WORDS…`; blocks until it ends.
  Outcome ferula(const std::vector<std::string>& words) const;
  /// Any program, found in PATH.
  Outcome run(const std::vector<std::string>& words) const;
  /// Starts `ferula WORDS…`, sends it `signals`, the first once `ready` holds, and blocks until it ends.
  Outcome ferula_with_signals(const std::vector<std::string>& words, const std::vector<int>& signals,
                              const std::function<bool()>& ready) const;
  /// Starts `ferula WORDS…` and, once `ready` holds, kills every process that works in this folder.
  void ferula_killed(const std::vector<std::string>& words, const std::function<bool()>& ready) const;
  /// Lines of a file; 0 while it does not exist.
  std::size_t lines_of(const std::string& name) const;

 private:
  pid_t start(const std::vector<std::string>& words) const;
  Outcome finish(pid_t child) const;

  ScratchDirectory scratch_;
  std::filesystem::path path_ = scratch_.path();
};

/// `words` with `--set` before each of the settings.
std::vector<std::string> with_settings(std::vector<std::string> words, const std::vector<std::string>& settings);

/// Changes a bit in the middle of a file.
void flip_a_bit(const std::filesystem::path& path);

/// A configuration of a model that trains in a second, with its text in `text.txt`: written to `tiny.toml`.
void write_tiny_run(const Workplace& workplace, int steps);

/// The number behind `"key": ` in each line of metrics.jsonl, by step.
std::vector<double> metric(const Workplace& workplace, const std::string& run, const std::string& key);

}  // namespace ferula::system_tests
