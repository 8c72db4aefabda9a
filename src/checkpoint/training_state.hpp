// What a checkpoint knows of the run beside its tensors: everything that a resume needs.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace ferula {

/// The layout that wrote a checkpoint. Recorded for people; any other layout reads it.
struct WriterLayout {
  int ranks = 1;
  int stage = 0;  // of ZeRO
  int replica = 1;
  int shard = 1;
  int pipeline = 1;
  int tensor = 1;
  friend bool operator==(const WriterLayout&, const WriterLayout&) = default;
};

struct TrainingState {
  std::int64_t step = 0;              // optimizer steps that are done
  std::int64_t samples_seen = 0;      // over all ranks
  std::int64_t tokens_seen = 0;       // over all ranks
  std::int64_t sampler_position = 0;  // of the next sample in the global order
  std::int64_t seed = 0;              // random keys are made of it and of names, so it is all of their state
  WriterLayout layout;
  std::map<std::string, std::int64_t> counters;  // schedule, loss scaler and other state in whole numbers
  std::map<std::string, std::string> notes;      // anything else, also what the user wants to keep
  friend bool operator==(const TrainingState&, const TrainingState&) = default;
};

}  // namespace ferula
