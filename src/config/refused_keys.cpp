// The table of refused keys: features to come first, then DeepSpeed's keys without a meaning here.
#include "config/refused_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace ferula {
namespace {

struct KeyAndText {
  const char* key;
  const char* text;
};

constexpr KeyAndText kLaterFeatures[] = {
    {"run.reproducible", "the same bits on every layout"},
    {"managed_gradient_accumulation", "gradient accumulation by the caller"},
    {"training.loss_reduction", "a choice of the loss' mean; it is the mean over all target tokens"},
    {"fp16", "fp16 with loss scaling"},
    {"amp", "NVIDIA's amp"},
    {"torch_autocast", "automatic choice of types"},
    {"data_types", "a choice of the gradient's type; it is f32"},
    {"communication_data_type", "a choice of the type that is communicated"},
    {"seq_parallel_comm_data_type", "sequence parallelism"},
    {"seq_parallel_communication_data_type", "sequence parallelism"},
    {"bf16.check_grad_overflow", "a check for overflow in bf16"},
    {"bf16.immediate_grad_update", "gradients that are accumulated in bf16"},
    {"bf16.bf16_master_weights_and_grads", "master weights in bf16"},
    {"bf16.bf16_optimizer_states", "optimizer state in bf16"},
    {"zero_optimization.offload_optimizer.nvme_path", "state on NVMe"},
    {"zero_optimization.offload_optimizer.ratio", "offload of a part of the optimizer's state"},
    {"zero_optimization.offload_optimizer.super_offload", "an update that begins before the gradient's norm is known"},
    {"zero_optimization.offload_optimizer.cpuadam_cores_perc",
     "an update that begins before the gradient's norm is known"},
    {"zero_optimization.offload_param", "offload of parameters"},
    {"zero_optimization.cpu_offload_params", "offload of parameters"},
    {"zero_optimization.super_offload", "an update that begins before the gradient's norm is known"},
    {"zero_optimization.cpu_offload_param", "offload of parameters"},
    {"zero_optimization.save_muon_momentum_buffer_in_memory", "the optimizer Muon"},
    {"zero_optimization.zeropp_loco_param", "quantised communication"},
    {"zero_optimization.zenflow", "updates that the computation does not wait for"},
    {"zero_optimization.zero_quantized_weights", "quantised communication"},
    {"zero_optimization.zero_quantized_gradients", "quantised communication"},
    {"zero_optimization.zero_quantized_nontrainable_weights", "quantised communication"},
    {"mesh", "pipeline and tensor parallelism"},
    {"pipeline", "pipeline parallelism"},
    {"tensor_parallel", "tensor parallelism"},
    {"expert_parallel", "mixtures of experts"},
    {"use_data_before_expert_parallelism", "mixtures of experts"},
    {"sequence_parallel", "sequence parallelism"},
    {"activation_checkpointing", "recomputation of activations"},
    {"aio", "state on NVMe"},
    {"hybrid_engine", "training and generation in turns"},
    {"autotuning", "measured choice of settings"},
    {"flops_profiler", "a profiler of operations"},
    {"comms_logger.debug", "the caller of each collective"},
    {"timers", "a choice of timers"},
    {"compile", "compilation of the model"},
    {"graph_harvesting", "CUDA graphs"},
    {"sparse_attention", "sparse attention"},
    {"sparse_gradients", "sparse gradients"},
    {"data_efficiency", "curricula over data"},
    {"curriculum_learning", "curricula over data"},
    {"progressive_layer_drop", "layers that are skipped"},
    {"eigenvalue", "eigenvalues of layers"},
    {"compression_training", "compression"},
    {"weight_quantization", "quantisation"},
    {"quantization", "quantisation"},
    {"tensorboard", "monitoring services; metrics.jsonl has the numbers"},
    {"wandb", "monitoring services; metrics.jsonl has the numbers"},
    {"comet", "monitoring services; metrics.jsonl has the numbers"},
    {"csv_monitor", "monitoring services; metrics.jsonl has the numbers"},
    {"elasticity", "elastic batch sizes"},
    {"checkpoint.async", "checkpoints in the background"},
    {"nebula", "checkpoints in a cloud service"},
    {"lora", "adapters"},
    {"peft", "adapters"},
    {"agents", "agents"},
    {"inference", "tuned inference"},
    {"generation", "generation settings in the file; `ferula generate` has options"},
    {"control", "steering"},
    {"steering", "steering"},
    {"coordinator", "a coordinator of workers"},
    {"network", "a coordinator of workers"},
    {"workers", "a coordinator of workers"},
    {"workload", "a coordinator of workers"},
    {"experiment", "experiments on what a steered model decides"},
};

constexpr KeyAndText kMeaningless[] = {
    {"zero_optimization.contiguous_gradients", "gradients always lie in one buffer for each unit"},
    {"zero_optimization.allgather_partitions", "parameters are always collected by one all-gather for each unit"},
    {"zero_optimization.allgather_bucket_size", "parameters are gathered a unit at a time"},
    {"zero_optimization.reduce_scatter", "gradients are always reduce-scattered where they are sharded"},
    {"zero_optimization.reduce_bucket_size", "gradients are reduced a unit at a time"},
    {"zero_optimization.round_robin_gradients", "every rank owns an equal part of every unit"},
    {"zero_optimization.use_multi_rank_bucket_allreduce", "gradients are reduced a unit at a time"},
    {"zero_optimization.sub_group_size", "the optimizer sweeps over its part of the state once, without groups"},
    {"zero_optimization.offload_optimizer.buffer_count", "gradients and values pass through two halves of one buffer"},
    {"zero_optimization.offload_optimizer.pipeline_read", "copies always run beside the update"},
    {"zero_optimization.offload_optimizer.pipeline_write", "copies always run beside the update"},
    {"zero_optimization.offload_optimizer.pipeline", "copies always run beside the update"},
    {"zero_optimization.offload_optimizer.fast_init", "masters are made from the values, or read from the checkpoint"},
    {"zero_optimization.stage3_max_live_parameters", "at most two units live at once, by construction"},
    {"zero_optimization.stage3_max_reuse_distance", "a unit is released as soon as it has been used"},
    {"zero_optimization.stage3_module_granularity_threshold", "the units are known before the run"},
    {"zero_optimization.stage3_model_persistence_threshold",
     "only stage3_param_persistence_threshold keeps tensors whole"},
    {"zero_optimization.stage3_use_all_reduce_for_fetch_params", "parameters are always collected by an all-gather"},
    {"zero_optimization.stage3_gather_16bit_weights_on_model_save", "checkpoints are sharded and load on any layout"},
    {"zero_optimization.stage3_gather_fp16_weights_on_model_save", "checkpoints are sharded and load on any layout"},
    {"zero_optimization.stage3_allgather_sequential", "parameters are gathered a unit at a time"},
    {"zero_optimization.stage3_partition_stream_chunk_size", "each rank initialises its own part alone"},
    {"zero_optimization.partition_stream_chunk_size", "each rank initialises its own part alone"},
    {"zero_optimization.max_live_parameters", "at most two units live at once, by construction"},
    {"zero_optimization.max_reuse_distance", "a unit is released as soon as it has been used"},
    {"zero_optimization.module_granularity_threshold", "the units are known before the run"},
    {"zero_optimization.model_persistence_threshold", "only stage3_param_persistence_threshold keeps tensors whole"},
    {"zero_optimization.use_all_reduce_for_fetch_params", "parameters are always collected by an all-gather"},
    {"zero_optimization.gather_16bit_weights_on_model_save", "checkpoints are sharded and load on any layout"},
    {"zero_optimization.allgather_sequential", "parameters are gathered a unit at a time"},
    {"zero_optimization.memory_efficient_linear", "the backward pass reads the weights again and keeps no copy"},
    {"zero_optimization.log_trace_cache_warnings", "the order of units is known before the run and needs no trace"},
    {"zero_optimization.ignore_unused_parameters", "every trainable parameter of these models is used"},
    {"zero_optimization.legacy_stage1", "there is one implementation of each stage"},
    {"zero_optimization.elastic_checkpoint", "every checkpoint loads on any layout"},
    {"zero_optimization.load_from_fp32_weights", "master weights are always loaded from the checkpoint's f32 values"},
    {"zero_optimization.pipeline_loading_checkpoint", "each rank reads its own part of a checkpoint"},
    {"zero_optimization.override_module_apply", "there are no Python modules"},
    {"zero_optimization.fast_sharding_for_leaf_module", "the units are known before the run"},
    {"zero_optimization.leaf_module", "the units are known before the run"},
    {"comms_logger.prof_all", "all collectives are listed unless prof_ops chooses some"},
    {"zero_optimization.enable_sanity_checks", "the checks are always on"},
    {"zero_optimization.zero_hpz_partition_size", "shard_size chooses how many ranks share one copy"},
    {"zero_optimization.mics_shard_size", "shard_size chooses how many ranks share one copy"},
    {"zero_optimization.mics_hierarchical_params_gather", "shard_size chooses how many ranks share one copy"},
    {"zero_allow_untested_optimizer", "every optimizer runs at every stage"},
    {"zero_force_ds_cpu_optimizer", "there is one implementation of each optimizer"},
    {"optimizer.legacy_fusion", "there is one implementation of each optimizer"},
    {"optimizer.params.torch_adam", "there is one implementation of Adam"},
    {"optimizer.params.fused", "updates are always fused"},
    {"gradient_allreduce_op", "gradients are always summed and weighted by their tokens"},
    {"prescale_gradients", "gradients are summed in f32 and need no scaling before"},
    {"gradient_predivide_factor", "gradients are summed in f32 and need no scaling before"},
    {"disable_allgather", "parameters are always collected by an all-gather"},
    {"dataloader_drop_last", "an epoch is a permutation of whole samples, and batches run on over its end"},
    {"steps_per_print", "a line is shown every few seconds, and metrics.jsonl has every step"},
    {"wall_clock_breakdown", "the summary always says where the time went"},
    {"dump_state", "the header and `ferula config show` tell the state"},
    {"memory_breakdown", "the summary always tells the memory by kind"},
    {"checkpoint.tag_validation", "the ranks always agree on a checkpoint's name"},
    {"checkpoint.load_universal", "every checkpoint loads on any layout"},
    {"checkpoint.use_node_local_storage", "all ranks write below the run's directory"},
    {"checkpoint.parallel_write", "all ranks always write at once"},
    {"checkpoint.writer", "there is one writer"},
};

std::vector<RefusedKey> all_refused() {
  std::vector<RefusedKey> keys;
  for (const auto& [key, feature] : kLaterFeatures) keys.push_back(later_feature(key, feature));
  for (const auto& [key, because] : kMeaningless) keys.push_back(without_meaning(key, because));
  keys.push_back({"optimizer.params.max_grad_norm",
                  "is refused: 'max_grad_norm' is not supported as an optimizer parameter, please switch to using the "
                  "deepspeed parameter 'gradient_clipping'",
                  "write `gradient_clipping` under [training]", Refusal::meaningless});
  return keys;
}

const RefusedKey* find_key(std::string_view key) {
  const std::vector<RefusedKey>& keys = refused_keys();
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const RefusedKey& each) { return each.key == key; });
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace

RefusedKey later_feature(std::string key, std::string_view feature) {
  return {std::move(key), fmt::format("belongs to a feature that does not exist yet: {}", feature), "remove it"};
}

RefusedKey without_meaning(std::string key, std::string_view because) {
  return {std::move(key), fmt::format("has no meaning here because {}", because), "remove it", Refusal::meaningless};
}

const std::vector<RefusedKey>& refused_keys() {
  static const std::vector<RefusedKey> keys = all_refused();
  return keys;
}

const RefusedKey* find_refused_key(std::string_view key) {
  const RefusedKey* found = find_key(key);
  const std::size_t dot = key.rfind('.');
  return found != nullptr || dot == std::string_view::npos ? found : find_refused_key(key.substr(0, dot));
}

const RefusedKey* find_misplaced_key(std::string_view name) {
  if (const RefusedKey* of_zero = find_key(fmt::format("zero_optimization.{}", name))) return of_zero;
  return find_key(name);
}

}  // namespace ferula
