// What `generate` and `evaluate` share: a trained model on all ranks, from a run's checkpoint.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app/command_line.hpp"
#include "app/rank_context.hpp"
#include "config/run_config.hpp"
#include "data/tokenizer.hpp"
#include "model/transformer.hpp"
#include "params/parameter_store.hpp"

namespace ferula {

inline constexpr OptionSpec kCheckpoint{"checkpoint", "DIR",
                                        "A run, or one checkpoint of it; its own configuration is used."};

/// Which model is asked for: resolved for the ranks of this job, read before any rank starts.
struct InferenceRequest {
  Config config;
  std::string source;  // a run, whose newest good checkpoint counts, or a checkpoint
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ComputeBackend> compute;
};

/// From `CONFIG.toml` (then the newest good checkpoint of its run) or `--checkpoint DIR`, with `--set` over it.
/// Throws ConfigError where neither or both are given, DataError where there is no good checkpoint.
InferenceRequest inference_request(const CommandLine& line, const Invocation& invocation);

/// The model of one rank with its values loaded.
struct InferenceModel {
  TransformerSpec spec;
  ParameterStore store;
  Transformer transformer;
  std::string checkpoint;  // the folder that was loaded

  /// Collective. Warns of newer checkpoints of the run that are damaged. `rows`: most rows of one call.
  InferenceModel(RankContext& context, const InferenceRequest& request, std::int64_t rows);
};

/// Loads the model on all ranks and runs `body` on each.
ExitCode run_with_model(const Invocation& invocation, const InferenceRequest& request, std::int64_t rows,
                        const std::function<ExitCode(RankContext&, InferenceModel&)>& body);

}  // namespace ferula
