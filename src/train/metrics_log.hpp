// metrics.jsonl: one line of JSON a step, for plots and for programs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "storage/file_system.hpp"
#include "train/trainer.hpp"

namespace ferula {

/// A line of metrics.jsonl.
struct StepMetrics {
  StepResult step;
  std::int64_t tokens_seen = 0;
  std::optional<double> mfu;           // share of the probed peak; absent where it is unknown
  std::int64_t memory_peak_bytes = 0;  // of the rank that holds most
  std::optional<double> validation_loss;
};

/// The line, without a newline. Numbers that are not finite become null: JSON has none.
std::string metrics_line(const StepMetrics& metrics);

/// Keeps a copy of the file beside it (metrics-abandoned-N.jsonl) where it has lines of steps after `step`, which going
/// back to that step drops. Returns the copy's path; empty where there are none.
std::string keep_later_lines(FileSystem& files, const std::filesystem::path& path, std::int64_t step);

/// Appends lines; a crash loses at most the last one, and a full disk those that do not fit.
class MetricsLog {
 public:
  /// Keeps the lines of steps up to `step` of an earlier part of this run and drops those after it, which a resumed run
  /// computes again. Throws CapacityError where the disk is full, DeviceError where the file cannot be written.
  MetricsLog(FileSystem& files, const std::filesystem::path& path, std::int64_t step);
  /// False where the line could not be written.
  bool append(const StepMetrics& metrics);

 private:
  std::unique_ptr<File> file_;
  std::int64_t end_ = 0;        // of the lines that are there whole
  std::size_t cut_length_ = 0;  // of what may follow them: a line that did not fit
};

}  // namespace ferula
