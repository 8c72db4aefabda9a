// A small model, and planners of its layouts without ranks.
#pragma once

#include <gtest/gtest.h>

#include "app/plan/fit_plan.hpp"
#include "model/flops.hpp"
#include "model/parameter_table.hpp"

namespace ferula {

/// A GPT-2 of four blocks, resolved for one rank.
inline Config small_config() {
  Config config;
  config.model = {.family = "gpt2",
                  .layers = 4,
                  .width = 256,
                  .heads = 4,
                  .kv_heads = 4,
                  .ffn_width = 1024,
                  .context = 128,
                  .vocabulary = 256,
                  .head_dim = 64,
                  .tied_embeddings = true};
  config.data.sequence_length = 128;
  config.training.train_batch_size = 8;
  config.training.train_micro_batch_size_per_gpu = 8;
  config.training.gradient_accumulation_steps = 1;
  config.training.steps = 10;
  config.optimizer.params.betas = {0.9, 0.95};
  config.zero_optimization.overlap_comm = false;
  config.zero_optimization.stage3_param_persistence_threshold = 0;
  return config;
}

class FitPlan : public testing::Test {
 protected:
  FitPlanner planner(const Config& config, int ranks_on_node = 8) {
    spec_ = transformer_spec(config.model, 256);
    return {config, spec_, *device_, *ops_, ranks_on_node};
  }

 private:
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_ = make_cpu_device(ledger_);
  std::unique_ptr<Ops> ops_ = make_cpu_ops(*device_);
  TransformerSpec spec_;
};

}  // namespace ferula
