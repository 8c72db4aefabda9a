#include "app/plan/plan.hpp"

#include <algorithm>
#include <cmath>

#include "app/compute_backend.hpp"
#include "app/jobs/job_plan.hpp"
#include "app/model_setup.hpp"
#include "app/plan/offload_plan.hpp"
#include "cluster/job_request.hpp"
#include "cluster/quantities.hpp"
#include "comm/node_place.hpp"
#include "config/load_config.hpp"
#include "config/resolve_config.hpp"
#include "data/tokenizer.hpp"
#include "device/counting_device.hpp"
#include "device/host_memory.hpp"
#include "device/host_processor.hpp"
#include "model/flops.hpp"

namespace ferula {
namespace {

constexpr int kStages = 4;
constexpr int kUsualRanksOnNode = 8;
const DeviceFacts kOnGpus{.kind = "cuda", .reason = "the plan is for GPUs", .has_native_bf16 = true};

/// The configuration before it is resolved, and where it is to run.
struct Draft {
  ConfigDraft draft;
  std::optional<ClusterProfile> profile;
  JobRequest job;  // of the profile; empty without one
};

Draft read_draft(const PlanRequest& request) {
  std::vector<std::string> sets = request.sets;
  if (!request.partition.empty()) sets.push_back("slurm.partition=" + request.partition);
  Draft read{.draft = draft_config(request.path, ferula_environment(), sets), .profile = {}, .job = {}};
  const SlurmConfig& slurm = read.draft.loaded.config.slurm;
  read.profile = profile_of(slurm);
  if (!request.partition.empty() && !read.profile)
    throw ConfigError("--partition names a partition of a cluster profile, found none: --set slurm.profile=prometheus");
  if (!read.profile) return read;
  read.job = job_request(read.draft.loaded.config, &*read.profile);
  check_job(read.draft, read.job, &*read.profile);
  return read;
}

const ClusterPartition* partition_of(const Draft& read) {
  return read.profile ? read.profile->partition(read.job.partition) : nullptr;
}

/// This machine's GPU as --card would name it; nothing where there is none, or it is not wanted.
std::vector<std::string> card_here(const RunConfig& run) {
  constexpr double kAlike = 0.1;  // of the memory: cards of one name come with more and with less
  if (run.device == "cpu") return {};
  try {
    const std::unique_ptr<ComputeBackend> compute = choose_compute(run);
    const GpuInfo* gpu = compute->gpu_of({});
    if (gpu == nullptr) return {};
    const double gib = static_cast<double>(gpu->memory_bytes) / 0x1p30;
    for (const GpuCardType& card : known_cards())
      if (gpu->name.find(card.word) != std::string::npos && std::abs(gib / card.memory_gib - 1.0) < kAlike)
        return {std::string(card.name)};
    return {fmt::format("{:.2f}", gib)};
  } catch (const Error&) {
    return {};  // the run will say what is wrong with the GPUs of its machine
  }
}

/// The cards that are named, else those of the job, else this machine's.
std::vector<std::string> card_words(const PlanRequest& request, const Draft& read) {
  if (!request.cards.empty()) return request.cards;
  if (!read.profile) return card_here(read.draft.loaded.config.run);
  const ClusterPartition* partition = partition_of(read);
  if (partition != nullptr && read.job.gpus_per_node > 0 && !partition->card.empty()) return {partition->card};
  return {};
}

DeviceFacts device_of(const Draft& read, bool names_cards) {
  const RunConfig& run = read.draft.loaded.config.run;
  if (run.device == "cuda" || names_cards || read.job.gpus_per_node > 0) return kOnGpus;
  if (read.profile) return {.kind = "cpu", .reason = "the job asks for no GPUs"};
  return device_facts(*choose_compute(run));
}

std::optional<PlannedQueue> queue_of(const Draft& read) {
  const ClusterPartition* partition = partition_of(read);
  if (partition == nullptr) return std::nullopt;
  const ClusterQos* qos = read.profile->find_qos(read.job.qos);
  const std::int64_t gpus = std::min(partition->nodes * partition->gpus_per_node,
                                     qos == nullptr ? kMostPlannedGpus : qos->gpus.value_or(kMostPlannedGpus));
  std::optional<std::int64_t> time_s = read.job.time_s;
  if (time_s == kNoTimeLimit) time_s.reset();
  return PlannedQueue{.profile = read.profile->name,
                      .partition = partition->name,
                      .qos = read.job.qos,
                      .time_s = time_s,
                      .host_bytes = read.job.memory_mib << 20,
                      .host_threads = static_cast<int>(read.job.ntasks_per_node * read.job.cpus_per_task),
                      .requeue = read.job.requeue,
                      .most_gpus = static_cast<int>(std::min<std::int64_t>(gpus, kMostPlannedGpus))};
}

/// What is known before any layout is foreseen.
Plan begun_plan(const PlanRequest& request, Draft read) {
  const std::vector<std::string> words = card_words(request, read);
  const auto own_ranks = read.profile ? static_cast<int>(read.job.ranks()) : request.launched_ranks;
  const auto own_per_node = read.profile ? static_cast<int>(read.job.ntasks_per_node) : kUsualRanksOnNode;
  Plan plan{.path = request.path,
            .config = {},
            .on_cards = {},
            .spec = {},
            .ranks = request.ranks.value_or(own_ranks),
            .ranks_on_node = request.ranks_on_node.value_or(own_per_node),
            .queue = queue_of(read),
            .stages = {},
            .neighbours = {},
            .inferences = {},
            .pace = {},
            .place = {},
            .names_cards = !words.empty(),
            .cards = {}};
  if (plan.queue && plan.names_cards && request.cards.empty()) plan.most_gpus = plan.queue->most_gpus;
  const DeviceFacts device = device_of(read, plan.names_cards);
  const std::string shard_size = read.draft.loaded.config.zero_optimization.shard_size;
  const std::int64_t vocabulary = make_tokenizer(read.draft.loaded.config)->vocabulary();
  const ResolveFacts facts{.data_parallel_ranks = plan.ranks,
                           .tokenizer_vocabulary = vocabulary,
                           .device = device,
                           .tensor_names = tensor_names};
  ConfigDraft for_cards = read.draft;
  for_cards.loaded.config.run.device = "auto";
  ResolveFacts card_facts = facts;
  card_facts.device = kOnGpus;
  plan.config = resolve_config(std::move(read.draft), facts).config;
  plan.on_cards = resolve_config(std::move(for_cards), card_facts).config;
  for (Config* config : {&plan.config, &plan.on_cards}) config->zero_optimization.shard_size = shard_size;
  plan.spec = transformer_spec(plan.config.model, vocabulary);
  for (const GpuCardType& type : cards_named(words))
    plan.cards.push_back({.type = type, .pace = {}, .fewest = {}, .fewest_offloaded = {}, .alone = {}});
  return plan;
}

void foresee_host(Plan& plan, const FitPlanner& planner) {
  plan.host_bytes = available_host_memory();
  if (plan.queue) {
    plan.host_bytes.reset();
    if (plan.queue->host_bytes > 0) plan.host_bytes = plan.queue->host_bytes;
  }
  if (const auto room = plan.host_room(plan.ranks)) plan.nearest_fit = planner.nearest_fit(plan.ranks, *room);
}

void foresee_neighbours(Plan& plan, const FitPlanner& planner) {
  const std::int64_t stage = plan.config.zero_optimization.stage;
  const std::int64_t micro = plan.config.training.train_micro_batch_size_per_gpu.get();
  const auto add = [&](Neighbour::Of of, std::string_view change, int ranks, std::int64_t micro_batch) {
    const bool is_allowed = ranks <= std::max(plan.ranks, plan.most_gpus);
    if (!is_allowed || !planner.is_legal(ranks, micro_batch)) return;
    plan.neighbours.push_back({of, change, planner.layout(stage, ranks, micro_batch)});
  };
  if (micro % 2 == 0) add(Neighbour::Of::micro_batch, "half", plan.ranks, micro / 2);
  add(Neighbour::Of::micro_batch, "twice", plan.ranks, 2 * micro);
  if (plan.ranks % 2 == 0) add(Neighbour::Of::ranks, "half", plan.ranks / 2, micro);
  add(Neighbour::Of::ranks, "twice", 2 * plan.ranks, micro);
}

void foresee_card(PlannedCard& card, const Plan& plan, const FitPlanner& planner, const FitPlanner& offloaded) {
  const std::int64_t micro = plan.on_cards.training.train_micro_batch_size_per_gpu.get();
  const std::int64_t room = room_on(card.type);
  for (int stage = 0; stage < kStages; ++stage)
    card.fewest.push_back(planner.fewest_ranks(stage, micro, room, plan.most_gpus));
  card.fewest_offloaded = fewest_of_stages(offloaded, micro, room, plan.most_gpus);
  card.alone = planner.layout(0, 1, micro);
  card.loading = planner.fewest_for_inference(&InferenceMemory::loaded, room, plan.most_gpus);
  card.generating = planner.fewest_for_inference(&InferenceMemory::generating, room, plan.most_gpus);
}

void find_paces(Plan& plan) {
  const std::vector<MeasuredRun> history = read_history(plan.config.run.output_dir);
  RunLikeness wanted{.processor = {},
                     .dtype = {},
                     .parameters = parameter_count(model_table(plan.config, plan.spec)),
                     .ranks = plan.ranks};
  wanted.on_gpu = true;
  wanted.dtype = name_of(compute_dtype(plan.on_cards));
  for (PlannedCard& card : plan.cards) {
    wanted.processor = card.type.word;
    card.pace = card_pace(card.type, history, wanted);
  }
  if (plan.is_for_cards()) {
    plan.place = plan.cards.front().type.name;
    plan.pace = plan.cards.front().pace;
    return;
  }
  if (plan.config.run.device == "cuda") {
    plan.place = "GPUs of any kind";
    plan.pace.computing = "as below; --card NAME plans for one kind";
    return;
  }
  const std::string processor = plan.queue ? "" : host_processor();
  wanted.on_gpu = false;
  wanted.dtype = name_of(compute_dtype(plan.config));
  wanted.processor = processor;
  plan.place = plan.queue ? "a node of partition " + plan.queue->partition : "this host";
  const int threads = plan.queue ? plan.queue->host_threads : static_cast<int>(allowed_cpus().count());
  plan.pace = host_pace(threads, plan.ranks_on_node, history, wanted);
}

}  // namespace

const PlannedLayout* PlannedCard::least() const {
  const PlannedLayout* found = nullptr;
  for (const auto& layout : fewest)
    if (layout && (found == nullptr || layout->ranks < found->ranks)) found = &*layout;
  return found;
}

std::string Neighbour::name() const {
  return fmt::format("{} the {}", change, of == Of::ranks ? "ranks" : "micro batch");
}

std::string Neighbour::in_short() const {
  if (of == Of::micro_batch) return fmt::format("micro batch {} ({})", layout.micro_batch, change);
  return fmt::format("{} rank{} ({})", layout.ranks, layout.ranks == 1 ? "" : "s", change);
}

const PlannedLayout& Plan::own() const { return stages.at(static_cast<std::size_t>(config.zero_optimization.stage)); }

double Plan::flops_per_sample() const {
  const std::int64_t length = config.data.sequence_length;
  return training_flops_per_token(spec, length) * static_cast<double>(length);
}

double Plan::flops_per_step() const {
  return flops_per_sample() * static_cast<double>(config.training.train_batch_size.get());
}

std::optional<StepTime> Plan::time_of(const PlannedLayout& layout) const {
  return step_time(layout, flops_per_sample(), pace);
}

std::optional<std::int64_t> Plan::host_room(int ranks_of_job) const {
  return host_bytes ? std::optional(*host_bytes / std::min(ranks_of_job, ranks_on_node)) : std::nullopt;
}

std::optional<std::int64_t> Plan::room(int ranks_of_job) const {
  if (is_for_cards()) return room_on(cards.front().type);
  return config.run.device == "cpu" ? host_room(ranks_of_job) : std::nullopt;
}

Plan make_plan(const PlanRequest& request) {
  Plan plan = begun_plan(request, read_draft(request));
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_counting_device(ledger);
  const std::unique_ptr<Ops> ops = make_cpu_ops(*device);
  const int here = std::min(plan.ranks, plan.ranks_on_node);
  set_compute_threads(std::max(1, static_cast<int>(allowed_cpus().count()) / here));
  const FitPlanner planner(plan.config, plan.spec, *device, *ops, plan.ranks_on_node);
  const std::int64_t micro = plan.config.training.train_micro_batch_size_per_gpu.get();
  for (int stage = 0; stage < kStages; ++stage) {
    plan.stages.push_back(planner.layout(stage, plan.ranks, micro));
    plan.inferences.push_back(planner.inference(stage, plan.ranks));
  }
  foresee_neighbours(plan, planner);
  foresee_host(plan, planner);
  const FitPlanner on_cards(plan.on_cards, plan.spec, *device, *ops, plan.ranks_on_node);
  const Config offloaded_config = with_offloaded_optimizer(plan.on_cards);
  const FitPlanner offloaded(offloaded_config, plan.spec, *device, *ops, plan.ranks_on_node);
  for (PlannedCard& card : plan.cards) foresee_card(card, plan, on_cards, offloaded);
  find_paces(plan);
  return plan;
}

}  // namespace ferula
