#include "app/model_setup.hpp"

#include <cmath>
#include <cstdlib>

namespace ferula {
namespace {

OptimizerKind kind_of(const std::string& type) {
  if (type == "SGD") return OptimizerKind::sgd;
  if (type == "Lion") return OptimizerKind::lion;
  return OptimizerKind::adam;
}

/// One micro batch a step is reduced once in any case: then whole gradients would cost memory for nothing.
GradientReduction gradient_reduction(const Config& config) {
  const bool accumulates = config.training.gradient_accumulation_steps.value.value_or(1) > 1;
  return config.zero_optimization.reduce_once && accumulates ? GradientReduction::once_a_step
                                                             : GradientReduction::each_micro_batch;
}

}  // namespace

MeshShape mesh_shape(const ZeroConfig& zero, int ranks) {
  const int shard = zero.shard_size == "all" ? ranks : std::atoi(zero.shard_size.c_str());
  if (shard < 1 || ranks % shard != 0)
    throw ConfigError(fmt::format(
        "zero_optimization.shard_size: expected \"all\" or a divisor of the {} data-parallel ranks, found {}", ranks,
        zero.shard_size));
  return {.replica = ranks / shard, .shard = shard};
}

MeshOptions mesh_options(const DebugConfig& debug) {
  return {.check_collectives = debug.check_collectives,
          .timeout = std::chrono::milliseconds(std::llround(1000.0 * debug.collective_timeout_s))};
}

DType compute_dtype(const Config& config) { return config.bf16.enabled.get() ? DType::bf16 : DType::f32; }

OptimizerRule optimizer_rule(const OptimizerConfig& optimizer) {
  const OptimizerParams& params = optimizer.params;
  return {.kind = kind_of(optimizer.type),
          .beta1 = params.betas.at(0),
          .beta2 = params.betas.at(1),
          .eps = params.eps,
          .momentum = params.momentum,
          .nesterov = params.nesterov,
          .decoupled_decay = optimizer.type != "SGD" && (optimizer.type != "Adam" || params.adam_w_mode),
          .bias_correction = params.bias_correction};
}

StoreSettings store_settings(const Config& config, StoreUse use) {
  const ZeroConfig& zero = config.zero_optimization;
  return {.rule = optimizer_rule(config.optimizer),
          .weight_decay = static_cast<float>(config.optimizer.params.weight_decay),
          .prefetch_elements = zero.stage3_prefetch_bucket_size.get(),
          .persistence_threshold = zero.stage3_param_persistence_threshold.get(),
          .stage = static_cast<int>(zero.stage),
          .reduction = gradient_reduction(config),
          .offload = {.tier = zero.offload_optimizer.device == "cpu" ? Tier::host : Tier::device,
                      .pin_memory = zero.offload_optimizer.pin_memory},
          .trains = use == StoreUse::training,
          .packs_weights = use == StoreUse::inference};
}

ModelSpec model_table(const Config& config, const TransformerSpec& spec) {
  ModelSpec model = parameter_table(spec, compute_dtype(config));
  apply_no_decay(model, config.optimizer.no_decay);
  freeze(model, config.training.frozen);
  return model;
}

std::vector<std::string> tensor_names(const ModelConfig& model) {
  std::vector<std::string> names;
  for (const UnitSpec& unit : parameter_table(transformer_spec(model, model.vocabulary.get()), DType::f32))
    for (const ParamSpec& param : unit.params) names.push_back(param.name);
  return names;
}

std::string model_in_words(const TransformerSpec& spec) {
  return fmt::format("{}: {} layers, width {}, {} heads ({} kv), context {}, vocabulary {}", spec.family.name,
                     spec.layers, spec.width, spec.heads, spec.kv_heads, spec.context, spec.vocabulary);
}

}  // namespace ferula
