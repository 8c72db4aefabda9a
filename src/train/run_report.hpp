// What people read while a run goes on: the header, the progress line and the account at the end.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "train/memory_forecast.hpp"
#include "train/rank_summary.hpp"
#include "train/trainer.hpp"

namespace ferula {

/// What a run is, known before its first step.
struct RunFacts {
  std::string version;
  std::string revision;
  std::string longer;      // the setting that makes it train twice as long: "training.steps=300"
  std::string command;     // as typed
  std::string continuing;  // the command that goes on from where this run ends
  std::string name;
  std::string directory;
  std::string model;          // "gpt2: 6 layers, width 256, 8 heads"
  std::string compute;        // "bf16 (f32 master)", "f32"
  std::string compute_type;   // "bf16", "f32"
  std::string processor;      // of this rank: "AMD EPYC 7313 16-Core Processor", "NVIDIA RTX A5000"
  std::string optimizer;      // "AdamW, lr 1e-3, WarmupCosineLR"
  std::string data;           // "1.2M tokens, 9,000 samples of 128"
  std::string batch;          // "24 = 4 a rank x 3 accumulated x 2 ranks"
  std::string communication;  // "shared-memory, overlapped"
  MeshShape mesh;
  std::int64_t stage = 0;  // of ZeRO
  std::string stage_name;  // what the stage cuts
  int threads = 1;
  std::vector<std::string> gpus;  // a line for each rank, or why none is used
  std::int64_t parameters = 0;
  std::int64_t steps = 0;                   // of the whole run
  std::int64_t first_step = 0;              // steps that were done before, by the checkpoint it resumes from
  std::string resumed_from;                 // its folder; empty for a new run
  MemoryByKind memory{};                    // of this rank: the peak that is expected
  std::optional<std::int64_t> memory_room;  // bytes that this rank may take; absent: unknown
  std::int64_t host_memory = 0;             // of this rank, beside `memory`: optimizer state in the host's memory
  std::optional<std::int64_t> host_room;    // bytes of the host's memory that it may take for that; absent: unknown
  std::int64_t offloadable = 0;             // of `memory`, what could lie in the host's memory instead
  std::optional<double> step_seconds;  // that earlier runs let expect; absent: none resembles this one, or rank > 0
  std::string step_source;             // which run does
  double flops_per_token = 0.0;
  double peak_flops = 0.0;      // of all ranks together, a second; 0: unknown
  std::string prompt = "The ";  // that this model can continue
};

/// Several lines: layout, model, data, batch triangle, memory a rank.
std::string run_header(const RunFacts& facts);

/// What moves `bytes` off a device that is too small, as a clause; empty for none.
std::string offload_advice(std::int64_t bytes);

/// Throws CapacityError with what would help, where the expected memory exceeds the room.
void require_room(const RunFacts& facts);

/// "step 120/150  loss 2.314  |g| 0.81  lr 1.0e-04  10.9k tok/s  mfu 71 %  0.42 GiB  eta 0:08".
struct ProgressLine {
  StepResult step;
  std::int64_t steps = 0;
  double tokens_per_second = 0.0;  // of the last steps
  std::optional<double> mfu;
  std::int64_t memory_peak_bytes = 0;
  double seconds_left = 0.0;
};
std::string progress_text(const ProgressLine& line);

/// How a run ended.
struct RunOutcome {
  std::string exit_reason;  // "finished", "saved after SIGUSR1, SIGTERM or SIGHUP", "interrupted, saved", "failed: …"
  std::int64_t steps = 0;   // that are done
  double final_loss = std::numeric_limits<double>::quiet_NaN();  // of the last step; not a number without one
  std::optional<double> validation_loss;
  std::optional<double> tokens_per_second;                            // without the first steps
  std::optional<double> step_seconds;                                 // without them, too
  double elapsed_seconds = std::numeric_limits<double>::quiet_NaN();  // not a number where it never began
  std::string checkpoint;                                             // the last one; empty where there is none
};

/// `command` with `settings` ("a=1 --set b=2") behind it, in the place of what it said of these keys itself.
std::string longer_command(std::string command, const std::string& settings);

/// Where the time went, memory by kind, traffic, the slowest rank, the files and the command that goes on.
std::string run_account(const RunFacts& facts, const RunOutcome& outcome, const PhaseTimes& phases,
                        const std::vector<RankSummary>& ranks);

}  // namespace ferula
