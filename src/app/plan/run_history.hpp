// What runs of the past have measured of the machines they ran on: the summaries beside them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// A run that has measured its speed. Rates are those of steps alone, without the first ones.
struct MeasuredRun {
  std::string run;        // its directory
  std::string processor;  // of rank 0: "NVIDIA RTX A5000"
  std::string dtype;      // "bf16"
  bool on_gpu = false;
  int ranks = 1;
  std::int64_t stage = 0;
  std::int64_t parameters = 0;
  double step_seconds = 0.0;
  double flops_per_second = 0.0;              // of one GPU, or of one thread of the host, while it computed
  double pass_flops_per_second = 0.0;         // the same, of forward and backward pass alone
  double updated_bytes_per_second = 0.0;      // of norm and optimizer, of all ranks together; 0: unknown
  std::optional<double> peak_share;           // of the probed peak, sending included
  std::optional<double> seconds_per_byte;     // sending that nothing hid, by bytes of traffic; absent on one rank
  std::int64_t expected_bytes = 0;            // of memory, foreseen of rank 0
  std::int64_t counted_bytes = 0;             // its peak
  std::filesystem::file_time_type written{};  // when it ended
};

/// All of them among the directories in `output_dir`. What is damaged, older than this record, or too short to have
/// measured anything is left out.
std::vector<MeasuredRun> read_history(const std::filesystem::path& output_dir);

/// What is planned, for the choice of a run that resembles it.
struct RunLikeness {
  bool on_gpu = false;
  std::string_view processor;  // a part of its name, "A5000"; empty: any
  std::string_view dtype;
  std::int64_t parameters = 0;
  int ranks = 1;
};

/// On the same kind of processor in the same type the one nearest in size, of equally near ones the nearest in ranks,
/// then the newest. Null for none.
const MeasuredRun* nearest_run(const std::vector<MeasuredRun>& history, const RunLikeness& wanted);

}  // namespace ferula
