// Writes a configuration as DeepSpeed's JSON: what a script with DeepSpeed or Hugging Face's Trainer would be given.
#pragma once

#include <string>
#include <vector>

#include "config/run_config.hpp"

namespace ferula {

struct LeftOutKey {
  std::string key;     // the setting
  std::string reason;  // a clause behind it
};

struct ExportedConfig {
  std::string json;                  // indented, with a newline at the end
  std::vector<LeftOutKey> left_out;  // settings other than their defaults that DeepSpeed's file has no key for
};

/// `given` is the configuration as it was read, `resolved` the same with every "auto" replaced. What DeepSpeed resolves
/// itself, the missing parts of the batch triangle and overlap_comm, stays out where it is "auto".
ExportedConfig export_deepspeed(const Config& given, const Config& resolved);

}  // namespace ferula
