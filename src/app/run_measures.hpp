// What a finished run has measured, read from its files.
#pragma once

#include <optional>
#include <string>

#include "storage/file_system.hpp"
#include "train/run_directory.hpp"

namespace ferula {

/// Of summary.json and metrics.jsonl. Memory is that of the rank that held most.
struct RunMeasures {
  std::int64_t stage = 0;  // of ZeRO
  std::int64_t ranks = 0;
  std::int64_t steps = 0;
  std::int64_t peak_bytes = 0;
  std::int64_t host_bytes = 0;       // that it offloaded to the host's memory
  std::int64_t expected_bytes = 0;   // foreseen of rank 0 before the run
  double sent_bytes_per_step = 0.0;  // by rank 0
  double first_loss = 0.0;
  double final_loss = 0.0;
  std::optional<double> tokens_per_second;
};

/// Throws DataError where the run has no summary of measured steps.
RunMeasures read_run_measures(FileSystem& files, const RunDirectory& directory);

/// The box that ends `train --milestone`: stage, loss at the beginning and at the end, memory and speed.
std::string milestone_text(const RunMeasures& run, std::int64_t sequence_length);

}  // namespace ferula
