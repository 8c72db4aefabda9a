#include "app/plan/fit_plan.hpp"

#include <algorithm>

#include "app/model_setup.hpp"
#include "app/session_facts.hpp"
#include "base/narrow.hpp"
#include "comm/planned_transport.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kHighestStage = 3;

std::vector<int> usual_rank_counts(int ranks_on_node, int most) {
  std::vector<int> counts;
  for (int ranks = 1; ranks <= most; ranks *= 2) counts.push_back(ranks);
  for (int ranks = ranks_on_node; ranks <= most; ranks += ranks_on_node) counts.push_back(ranks);
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

}  // namespace

std::int64_t offloadable_bytes(const Config& config, const TransformerSpec& spec, int ranks) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  const PlannedJob job{.ranks = ranks, .ranks_on_node = ranks};
  Mesh mesh(make_planned_transport(job), mesh_shape(config.zero_optimization, ranks), *device);
  const StoreSettings settings = store_settings(config, StoreUse::training);
  return store_bytes(lay_out_ranges(model_table(config, spec), settings, mesh), settings).optimizer;
}

std::int64_t PlannedLayout::sent_bytes() const {
  std::int64_t bytes = 0;
  for (const Traffic& each : traffic) bytes += each.bytes;
  return bytes;
}

template <class Look>
auto FitPlanner::with_job(std::int64_t stage, int ranks, std::int64_t micro_batch, const Look& look) const {
  Config config = *config_;
  config.zero_optimization.stage = stage;
  std::string& shard = config.zero_optimization.shard_size;
  if (shard != "all" && ranks % std::stoi(shard) != 0) shard = "all";
  config.training.train_micro_batch_size_per_gpu = micro_batch;
  const std::int64_t accumulation = ceil_div(config.training.train_batch_size.get(), micro_batch * ranks);
  config.training.gradient_accumulation_steps = accumulation;
  const PlannedJob job{.ranks = ranks, .ranks_on_node = ranks_on_node_, .computes = computes()};
  Mesh mesh(make_planned_transport(job), mesh_shape(config.zero_optimization, ranks), *device_);
  const ModelSpec model = model_table(config, *spec_);
  const TrainingShape shape{.model = model,
                            .store = store_settings(config, StoreUse::training),
                            .spec = *spec_,
                            .transformer = transformer_settings(config),
                            .batch = batch_shape(config, mesh),
                            .sequence_length = config.data.sequence_length};
  return look(shape, mesh);
}

PlannedLayout FitPlanner::layout(std::int64_t stage, int ranks, std::int64_t micro_batch) const {
  // what operations take of a card is part of kGpuOverhead: it must not depend on the processor that plans
  return with_job(stage, ranks, micro_batch, [&](const TrainingShape& shape, Mesh& mesh) {
    return PlannedLayout{.stage = stage,
                         .ranks = ranks,
                         .micro_batch = micro_batch,
                         .accumulation = shape.batch.accumulation,
                         .memory = computes() == DeviceKind::cpu ? forecast_memory(shape, mesh, *ops_)
                                                                 : forecast_memory(shape, mesh, ScratchBytes{}),
                         .host_bytes = forecast_host_memory(shape, mesh),
                         .traffic = forecast_traffic(shape, mesh),
                         .unmoved_bytes = forecast_unmoved_bytes(shape, mesh)};
  });
}

SimulatedStep FitPlanner::simulate(std::int64_t stage, int ranks, std::int64_t micro_batch,
                                   const ScalingMachine& machine) const {
  return with_job(stage, ranks, micro_batch,
                  [&](const TrainingShape& shape, Mesh& mesh) { return simulate_step(shape, mesh, machine); });
}

std::optional<PlannedLayout> FitPlanner::fewest_ranks(std::int64_t stage, std::int64_t micro_batch, std::int64_t room,
                                                      int most) const {
  const std::vector<int> counts = usual_rank_counts(ranks_on_node_, most);
  // Spares the search where even the most ranks are far too few; paddings make a small model grow with its ranks.
  if (layout(stage, counts.back(), micro_batch).bytes() / 2 > room) return std::nullopt;
  for (const int ranks : counts) {
    const PlannedLayout found = layout(stage, ranks, micro_batch);
    if (found.bytes() <= room) return found;
  }
  return std::nullopt;
}

std::int64_t FitPlanner::needed(const PlannedLayout& layout) const {
  return config_->run.device == "cpu" ? layout.bytes_on_host() : layout.bytes();
}

std::optional<PlannedLayout> FitPlanner::nearest_fit(int ranks, std::int64_t room) const {
  const std::int64_t configured = config_->training.train_micro_batch_size_per_gpu.get();
  for (std::int64_t stage = config_->zero_optimization.stage; stage <= kHighestStage; ++stage)
    if (const PlannedLayout found = layout(stage, ranks, configured); needed(found) <= room) return found;
  for (std::int64_t micro_batch = configured / 2; micro_batch > 0; --micro_batch) {
    if (!is_legal(ranks, micro_batch)) continue;
    if (const PlannedLayout found = layout(kHighestStage, ranks, micro_batch); needed(found) <= room) return found;
  }
  return std::nullopt;
}

bool FitPlanner::is_legal(int ranks, std::int64_t micro_batch) const {
  return micro_batch > 0 && config_->training.train_batch_size.get() % (micro_batch * ranks) == 0;
}

PlannedInference FitPlanner::inference(std::int64_t stage, int ranks) const {
  Config config = *config_;
  config.zero_optimization.stage = stage;
  config.zero_optimization.shard_size = "all";
  const PlannedJob job{.ranks = ranks, .ranks_on_node = ranks_on_node_, .computes = computes()};
  Mesh mesh(make_planned_transport(job), mesh_shape(config.zero_optimization, ranks), *device_);
  return {.stage = stage, .ranks = ranks, .memory = forecast_inference(config, *spec_, mesh, *device_, *ops_)};
}

std::optional<PlannedInference> FitPlanner::fewest_for_inference(MemoryByKind InferenceMemory::*part, std::int64_t room,
                                                                 int most) const {
  for (const int ranks : usual_rank_counts(ranks_on_node_, most)) {
    const PlannedInference found = inference(kHighestStage, ranks);
    if (sum_of(found.memory.*part) <= room) return found;
  }
  return std::nullopt;
}

}  // namespace ferula
