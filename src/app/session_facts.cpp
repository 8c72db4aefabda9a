#include "app/session_facts.hpp"

#include "app/bench_probes.hpp"
#include "app/model_setup.hpp"
#include "app/plan/pace.hpp"
#include "app/version.hpp"
#include "base/human.hpp"
#include "device/host_memory.hpp"
#include "device/host_processor.hpp"
#include "model/flops.hpp"
#include "train/traffic_forecast.hpp"

namespace ferula {
namespace {

constexpr int kProbeRepetitions = 3;

std::string yes_if(bool yes, std::string_view text) { return yes ? std::string(text) : std::string(); }

std::string batch_in_words(const Config& config, int ranks) {
  return fmt::format("{} sequences of {} = {} a rank x {} accumulated x {} rank{}",
                     config.training.train_batch_size.get(), config.data.sequence_length,
                     config.training.train_micro_batch_size_per_gpu.get(),
                     config.training.gradient_accumulation_steps.get(), ranks, yes_if(ranks != 1, "s"));
}

std::vector<std::string> gpus_in_words(const RankContext& context) {
  if (context.gpus.empty() && !context.compute.note().empty()) return {"none is used: " + context.compute.note()};
  return context.gpus;
}

/// What this rank will hold and send.
PlannedLayout layout_here(RankContext& context, const Config& config, const TransformerSpec& spec) {
  const ModelSpec model = model_table(config, spec);
  const TrainingShape shape{.model = model,
                            .store = store_settings(config, StoreUse::training),
                            .spec = spec,
                            .transformer = transformer_settings(config),
                            .batch = batch_shape(config, context.mesh),
                            .sequence_length = config.data.sequence_length};
  return {.stage = config.zero_optimization.stage,
          .ranks = context.mesh.shape().ranks(),
          .micro_batch = shape.batch.micro_batch,
          .accumulation = shape.batch.accumulation,
          .memory = forecast_memory(shape, context.mesh, context.execution.ops),
          .host_bytes = forecast_host_memory(shape, context.mesh),
          .traffic = forecast_traffic(shape, context.mesh)};
}

/// Of the host's memory, what this rank may take beside `device_bytes`, which lie there, too, where it has no GPU.
std::optional<std::int64_t> host_room(const RankContext& context, std::int64_t device_bytes) {
  const std::optional<std::int64_t> available = available_host_memory();
  if (!available) return std::nullopt;
  const bool is_apart = context.execution.device.kind() != DeviceKind::cpu;
  return *available / context.mesh.place().ranks_on_node - (is_apart ? 0 : device_bytes);
}

/// Where the device's memory is the host's, offloading makes no room.
std::int64_t offloadable_bytes(const RankContext& context, const MemoryByKind& memory) {
  const bool is_apart = context.execution.device.kind() != DeviceKind::cpu;
  return is_apart ? memory.at(static_cast<std::size_t>(MemoryKind::optimizer)) : 0;
}

/// Rank 0 alone reads what runs beside this one have measured.
void expect_step_time(RankContext& context, const Config& config, const PlannedLayout& layout, RunFacts& facts) {
  if (context.mesh.rank() != 0) return;
  const NodePlace& place = context.mesh.place();
  const bool on_gpu = context.compute.gpu_of(place) != nullptr;
  const RunLikeness wanted{.on_gpu = on_gpu,
                           .processor = facts.processor,
                           .dtype = facts.compute_type,
                           .parameters = facts.parameters,
                           .ranks = layout.ranks};
  const int threads = on_gpu ? 0 : context.threads * place.ranks_on_node;
  const Pace pace = host_pace(threads, place.ranks_on_node, read_history(config.run.output_dir), wanted);
  const auto length = static_cast<double>(config.data.sequence_length);
  const std::optional<StepTime> time = step_time(layout, facts.flops_per_token * length, pace);
  if (!time) return;
  facts.step_seconds = time->total();
  facts.step_source = pace.measured->run;
}

/// A GPU computes logits as fast as it sweeps over the head's gradient only where they are thousands of rows.
constexpr std::int64_t kGpuLogitBytes = std::int64_t{1} << 30;

}  // namespace

std::string longer_settings(const Config& written, const Config& resolved, std::int64_t done) {
  const std::int64_t steps = resolved.training.steps.value.value_or(0);
  const std::int64_t goal = 2 * std::max(steps, done);
  std::string settings = fmt::format("training.steps={}", goal);
  if (!written.training.epochs.is_auto()) {
    // A share of an epoch below one step counts as one, and so may its double.
    settings = steps > 1
                   ? fmt::format("training.epochs={:g}",
                                 written.training.epochs.get() * static_cast<double>(goal) / static_cast<double>(steps))
                   : fmt::format("training.epochs=auto --set training.steps={}", goal);
  }
  if (!written.scheduler.params.total_num_steps.is_auto())
    settings += fmt::format(" --set scheduler.params.total_num_steps={}", goal);
  return settings;
}

TransformerSettings transformer_settings(const Config& config) {
  TransformerSettings settings{
      .compute = compute_dtype(config),
      .rows = config.training.train_micro_batch_size_per_gpu.get() * config.data.sequence_length,
      .slots = 1,
      .seed = static_cast<std::uint64_t>(config.run.seed)};
  if (config.run.device == "cuda") settings.logit_bytes = kGpuLogitBytes;
  return settings;
}

BatchShape batch_shape(const Config& config, Mesh& mesh) {
  return {.micro_batch = config.training.train_micro_batch_size_per_gpu.get(),
          .accumulation = config.training.gradient_accumulation_steps.get(),
          .data_rank = mesh.data().rank(),
          .data_ranks = mesh.data().size()};
}

std::string data_in_words(const RunData& data) {
  return fmt::format("{} tokens from {}: {} training and {} validation samples",
                     human_count(static_cast<double>(data.file->tokens())), data.file->path(),
                     data.dataset->samples(Split::training), data.dataset->samples(Split::validation));
}

double probed_peak(RankContext& run, DType compute) {
  MemoryLedger ledger(run.ledger().remedy());
  const std::unique_ptr<Device> device = run.compute.make_device(run.mesh.place(), ledger);
  const std::unique_ptr<Ops> ops = run.compute.make_ops(*device);
  PhaseTimes phases;
  Execution execution{*device, *ops, run.execution.compute, run.execution.communication, phases};
  RankContext context{run.mesh,    execution, run.files,          run.log, run.stop, run.threads,
                      run.compute, run.gpus,  run.end_collectives};
  for (const ProbeResult& probe : probe_compute(context, {.bytes = 1 << 20, .repetitions = kProbeRepetitions}))
    if (probe.name.find(name_of(compute)) != std::string::npos) return 1e9 * probe.rates.back();
  return 0.0;
}

RunFacts facts_of(RankContext& context, const SessionRequest& request, const Config& config,
                  const TransformerSpec& spec, const RunDirectory& directory) {
  const DType compute = compute_dtype(config);
  const PlannedLayout layout = layout_here(context, config, spec);
  const GpuInfo* gpu = context.compute.gpu_of(context.mesh.place());
  const std::string kernels = context.execution.ops.kernels_in_words();
  RunFacts facts{.version = std::string(version()),
                 .revision = std::string(revision()),
                 .longer = longer_settings(request.loaded.config, config, 0),
                 .command = request.command,
                 .continuing = request.continuing,
                 .name = config.run.name,
                 .directory = directory.root.string(),
                 .model = model_in_words(spec),
                 .compute = fmt::format("{}{}{}", compute == DType::bf16 ? "bf16, f32 master and gradients" : "f32",
                                        yes_if(!kernels.empty(), "; "), kernels),
                 .compute_type = std::string(name_of(compute)),
                 .processor = gpu == nullptr ? host_processor() : gpu->name,
                 .optimizer = fmt::format("{}, lr {:g}, {}", config.optimizer.type, config.optimizer.params.lr,
                                          config.scheduler.type),
                 .data = {},
                 .batch = batch_in_words(config, context.mesh.shape().data()),
                 .communication = fmt::format("{}{}", context.mesh.world().kind(),
                                              yes_if(&context.execution.communication != &context.execution.compute,
                                                     ", beside the computation")),
                 .mesh = context.mesh.shape(),
                 .stage = config.zero_optimization.stage,
                 .stage_name = std::string(stage_name(static_cast<int>(config.zero_optimization.stage))),
                 .threads = context.threads,
                 .gpus = gpus_in_words(context),
                 .parameters = parameter_count(model_table(config, spec)),
                 .steps = config.training.steps.value.value_or(0),  // unknown in a dry run over epochs
                 .resumed_from = {},
                 .memory = layout.memory,
                 .memory_room = context.compute.memory_for(context.mesh.place()),
                 .host_memory = layout.host_bytes,
                 .host_room = host_room(context, sum_of(layout.memory)),
                 .offloadable = offloadable_bytes(context, layout.memory),
                 .step_source = {},
                 .flops_per_token = training_flops_per_token(spec, config.data.sequence_length),
                 .prompt = config.data.tokenizer == "ids" ? "1 2 3" : "The "};
  expect_step_time(context, config, layout, facts);
  return facts;
}

}  // namespace ferula
