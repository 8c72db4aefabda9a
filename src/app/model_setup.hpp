// From a resolved configuration to what the floors below want to know: one translation for training, evaluation and
// generation.
#pragma once

#include "comm/mesh.hpp"
#include "config/run_config.hpp"
#include "model/transformer.hpp"
#include "params/parameter_store.hpp"

namespace ferula {

/// All ranks along the data axis, cut into shards of `zero_optimization.shard_size`.
/// Throws ConfigError where that does not divide `ranks`.
MeshShape mesh_shape(const ZeroConfig& zero, int ranks);
/// Time-out and checks of [debug].
MeshOptions mesh_options(const DebugConfig& debug);

/// f32, or bf16 where [bf16] is enabled.
DType compute_dtype(const Config& config);
OptimizerRule optimizer_rule(const OptimizerConfig& optimizer);

/// What the store is for: `training` keeps gradients and optimizer state, `inference` values alone.
enum class StoreUse : unsigned char { training, inference };
StoreSettings store_settings(const Config& config, StoreUse use);

/// The parameter table with weight decay and freezing as configured.
ModelSpec model_table(const Config& config, const TransformerSpec& spec);

/// The names of the model's tensors, for the rules of globs.
std::vector<std::string> tensor_names(const ModelConfig& model);

/// "gpt2: 6 layers, width 256, 8 heads (8 kv), context 256".
std::string model_in_words(const TransformerSpec& spec);

}  // namespace ferula
