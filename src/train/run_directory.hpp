// Where a run keeps its files.
#pragma once

#include <filesystem>

#include "config/run_config.hpp"

namespace ferula {

/// RUN = output_dir/name.
struct RunDirectory {
  std::filesystem::path root;

  std::filesystem::path config() const { return root / "config.toml"; }
  std::filesystem::path log() const { return root / "log.txt"; }
  std::filesystem::path metrics() const { return root / "metrics.jsonl"; }
  std::filesystem::path summary() const { return root / "summary.json"; }
  std::filesystem::path comms() const { return root / "comms.csv"; }
  std::filesystem::path lock() const { return root / "lock"; }
  std::filesystem::path tokens() const { return root / "tokens.h5"; }
  std::filesystem::path checkpoints() const { return root / "checkpoints"; }
};

inline RunDirectory run_directory(const RunConfig& run) { return {std::filesystem::path(run.output_dir) / run.name}; }

}  // namespace ferula
