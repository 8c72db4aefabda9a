// The estimates that users of DeepSpeed and accelerate know, for a model of ours: their formulas in their words.
#pragma once

#include <string>

#include "model/transformer_spec.hpp"

namespace ferula {

/// Parameters as DeepSpeed and accelerate count them, whatever their type. A module is what Hugging Face's classes have
/// as one: GPT-2's query, key and value are, Llama's are three.
struct ModelSizes {
  std::int64_t parameters = 0;         // a tied head counts once
  std::int64_t largest_module = 0;     // of those that hold tensors of their own
  std::int64_t body = 0;               // without a head of its own: accelerate loads models without one
  std::int64_t largest_undivided = 0;  // the largest table or block: what accelerate keeps on one device
};
ModelSizes model_sizes(const TransformerSpec& spec);

struct EstimatedHardware {
  int nodes = 1;
  int gpus_per_node = 1;
};

/// What estimate_zero2_model_states_mem_needs_all_live and estimate_zero3_… print, each under a line that says whose
/// estimate it is.
std::string deepspeed_tables(const ModelSizes& sizes, const EstimatedHardware& hardware);
/// What `accelerate estimate-memory NAME` prints, under such a line.
std::string accelerate_table(const ModelSizes& sizes, const std::string& name);

}  // namespace ferula
