// `ferula plan`: what each rank will hold and send, whether it fits, and what would.
#include <boost/json.hpp>

#include <cmath>
#include <thread>

#include "app/command.hpp"
#include "app/common_options.hpp"
#include "app/compute_backend.hpp"
#include "app/fit_plan.hpp"
#include "app/gpu_cards.hpp"
#include "app/model_setup.hpp"
#include "app/offload_plan.hpp"
#include "app/table.hpp"
#include "base/human.hpp"
#include "base/output.hpp"
#include "comm/node_place.hpp"
#include "config/load_config.hpp"
#include "data/tokenizer.hpp"
#include "device/host_memory.hpp"
#include "model/flops.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

constexpr OptionSpec kForRanks{"ranks", "N", "Plans for N ranks; default: those that mpirun has started."};
constexpr OptionSpec kRanksPerNode{"ranks-per-node", "N", "Ranks on one node, default 8."};
constexpr OptionSpec kCard{"card", "NAME|GIB",
                           "Plans for GPUs: of this name (a5000, h100, …) or memory; may be given many times."};
constexpr int kStages = 4;
constexpr std::int64_t kMostRanks = 65536;
constexpr int kMostGpus = 512;
constexpr double kAssumedMfu = 0.4;

/// Everything that is planned for one configuration.
struct Plan {
  std::string path;
  Config config;
  TransformerSpec spec;
  int ranks = 1;
  int ranks_on_node = 1;
  std::vector<PlannedLayout> stages;        // on these ranks
  std::optional<std::int64_t> host_room{};  // bytes that a rank on this host may take
  std::vector<GpuCardType> cards;
  std::vector<std::vector<std::optional<PlannedLayout>>> fewest;  // by card and stage
  std::vector<std::optional<PlannedLayout>> fewest_offloaded{};   // by card, with the optimizer's state on the host
  std::optional<PlannedLayout> nearest_fit{};                     // on this host

  const PlannedLayout& own() const { return stages.at(static_cast<std::size_t>(config.zero_optimization.stage)); }
  std::int64_t tokens_per_step() const { return config.training.train_batch_size.get() * config.data.sequence_length; }
  double flops_per_step() const {
    return training_flops_per_token(spec, config.data.sequence_length) * static_cast<double>(tokens_per_step());
  }
};

Plan make_plan(const CommandLine& line, int ranks) {
  const std::string& path = line.positional(0, "a configuration, e.g. `ferula plan my.toml --ranks 4`");
  line.expect_at_most(1);
  ConfigDraft draft = draft_config(path, ferula_environment(), line.all(kSet.name));
  const std::string shard_size = draft.loaded.config.zero_optimization.shard_size;
  const std::int64_t vocabulary = make_tokenizer(draft.loaded.config)->vocabulary();
  const RunConfig& run = draft.loaded.config.run;
  const bool on_gpus = run.device == "cuda" || (run.device == "auto" && line.has(kCard.name));
  const DeviceFacts device =
      on_gpus ? DeviceFacts{"cuda", "the plan is for GPUs", true} : device_facts(*choose_compute(run));
  const ResolveFacts facts{
      .data_parallel_ranks = ranks, .tokenizer_vocabulary = vocabulary, .device = device, .tensor_names = tensor_names};
  Config config = resolve_config(std::move(draft), facts).config;
  config.zero_optimization.shard_size = shard_size;
  const auto per_node = static_cast<int>(line.integer(kRanksPerNode.name, 1, kMostRanks).value_or(8));
  return {.path = path,
          .config = config,
          .spec = transformer_spec(config.model, vocabulary),
          .ranks = ranks,
          .ranks_on_node = per_node,
          .stages = {},
          .cards = cards_named(line.all(kCard.name)),
          .fewest = {}};
}

void fill(Plan& plan) {
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  const std::unique_ptr<Ops> ops = make_cpu_ops(*device);
  const int here = std::min(plan.ranks, plan.ranks_on_node);
  set_compute_threads(std::max(1, static_cast<int>(allowed_cpus().count()) / here));
  const FitPlanner planner(plan.config, plan.spec, *device, *ops, plan.ranks_on_node);
  const std::int64_t micro_batch = plan.config.training.train_micro_batch_size_per_gpu.get();
  for (int stage = 0; stage < kStages; ++stage) plan.stages.push_back(planner.layout(stage, plan.ranks, micro_batch));
  if (const auto available = available_host_memory()) plan.host_room = *available / here;
  if (plan.host_room) plan.nearest_fit = planner.nearest_fit(plan.ranks, *plan.host_room);
  const Config offloaded = with_offloaded_optimizer(plan.config);
  const FitPlanner with_host(offloaded, plan.spec, *device, *ops, plan.ranks_on_node);
  for (const GpuCardType& card : plan.cards) {
    plan.fewest_offloaded.push_back(fewest_of_stages(with_host, micro_batch, room_on(card), kMostGpus));
    auto& by_stage = plan.fewest.emplace_back();
    for (int stage = 0; stage < kStages; ++stage)
      by_stage.push_back(planner.fewest_ranks(stage, micro_batch, room_on(card), kMostGpus));
  }
}

std::string stages_table(const Plan& plan) {
  std::vector<std::string> header{"ZeRO stage"};
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind) header.emplace_back(name_of(static_cast<MemoryKind>(kind)));
  header.insert(header.end(), {"a rank", "sent a step"});
  if (offloads_optimizer(plan.config)) header.emplace_back("on the host");
  Table table(std::move(header));
  for (const PlannedLayout& layout : plan.stages) {
    const bool is_own = layout.stage == plan.config.zero_optimization.stage;
    std::vector<std::string> row{fmt::format("{}{}", layout.stage, is_own ? " (configured)" : "")};
    for (const std::int64_t bytes : layout.memory) row.push_back(human_bytes(bytes));
    row.push_back(human_bytes(layout.bytes()));
    row.push_back(human_bytes(layout.sent_bytes()));
    if (offloads_optimizer(plan.config)) row.push_back(human_bytes(layout.host_bytes));
    table.add(std::move(row));
  }
  return table.text();
}

/// "8 (21.3 GiB)": GPUs, and what each of them holds.
std::string gpus_in_words(const std::optional<PlannedLayout>& layout) {
  if (!layout) return fmt::format("more than {}", kMostGpus);
  return fmt::format("{} ({})", layout->ranks, human_bytes(layout->bytes()));
}

std::string cards_table(const Plan& plan) {
  Table table({"fewest GPUs that hold it", "memory", "stage 0", "stage 1", "stage 2", "stage 3"});
  for (std::size_t card = 0; card < plan.cards.size(); ++card) {
    std::vector<std::string> row{std::string(plan.cards[card].name),
                                 fmt::format("{:g} GiB", plan.cards[card].memory_gib)};
    for (const auto& layout : plan.fewest[card]) row.push_back(gpus_in_words(layout));
    table.add(std::move(row));
  }
  return table.text();
}

/// Seconds of a step where each card reaches kAssumedMfu, and of its traffic if nothing hid it.
std::string time_in_words(const Plan& plan, const GpuCardType& card, const PlannedLayout& layout) {
  if (card.bf16_teraflops <= 0.0) return {};
  const double computing = plan.flops_per_step() / (kAssumedMfu * 1e12 * card.bf16_teraflops * layout.ranks);
  std::string text =
      fmt::format("; a step takes about {:.2g} s of computing at {:.0f} % of its peak", computing, 100.0 * kAssumedMfu);
  if (layout.ranks == 1) return text;
  const double share = 1.0 - 1.0 / layout.ranks;  // of a tensor crosses a rank's link
  const double sending = share * static_cast<double>(layout.sent_bytes()) / (1e9 * card.link_gigabytes);
  return fmt::format("{} and {:.2g} s of sending at {:g} GB/s", text, sending, card.link_gigabytes);
}

/// One GPU or several, which stage, and why, of each card.
std::string verdict_on_cards(const Plan& plan) {
  std::string text;
  for (std::size_t card = 0; card < plan.cards.size(); ++card) {
    const GpuCardType& type = plan.cards[card];
    const auto& by_stage = plan.fewest[card];
    const std::optional<PlannedLayout>* least = nullptr;
    for (const auto& layout : by_stage)
      if (layout && (least == nullptr || layout->ranks < (*least)->ranks)) least = &layout;
    if (least == nullptr) {
      text += fmt::format("{}: {} of them do not hold it at any stage; a smaller micro batch or model does\n",
                          type.name, kMostGpus);
      text += offload_line(std::nullopt, plan.fewest_offloaded[card], plan.ranks_on_node);
      continue;
    }
    const PlannedLayout& found = **least;
    const std::string alone = found.ranks == 1
                                  ? "one is enough"
                                  : fmt::format("needs {} at stage {}; fewer are not enough", found.ranks, found.stage);
    const std::string host = host_memory_in_words(found, plan.ranks_on_node);
    text += fmt::format("{}: {} ({} of {:g} GiB each, {} of them for CUDA{}{}){}\n", type.name, alone,
                        human_bytes(found.bytes() + kGpuOverhead), type.memory_gib, human_bytes(kGpuOverhead),
                        host.empty() ? "" : "; ", host, time_in_words(plan, type, found));
    text += offload_line(found, plan.fewest_offloaded[card], plan.ranks_on_node);
  }
  return text;
}

std::string verdict_on_host(const Plan& plan) {
  if (!plan.host_room) return "this host does not tell how much memory is free\n";
  const std::string need = fmt::format("this host: a rank needs {} of the {} that are free for it",
                                       human_bytes(plan.own().bytes()), human_bytes(*plan.host_room));
  if (plan.own().bytes() <= *plan.host_room) return need + ": it fits\n";
  if (!plan.nearest_fit) return need + ": it does not fit on so many ranks at any stage and micro batch\n";
  return fmt::format(
      "{}: it does not fit; this does: --set zero_optimization.stage={} --set "
      "training.train_micro_batch_size_per_gpu={} ({} a rank)\n",
      need, plan.nearest_fit->stage, plan.nearest_fit->micro_batch, human_bytes(plan.nearest_fit->bytes()));
}

std::string as_text(const Plan& plan) {
  const Config& config = plan.config;
  return fmt::format(
      "{} on {} rank{}, {} a node\n"
      "  model   {}, {} parameters\n"
      "  numbers {}\n"
      "  step    {} samples of {} tokens, {} a rank at once; {:.3g} TFLOP\n\n{}\n{}\n{}{}",
      plan.path, plan.ranks, plan.ranks == 1 ? "" : "s", std::min(plan.ranks, plan.ranks_on_node),
      model_in_words(plan.spec), human_count(static_cast<double>(parameter_count(model_table(config, plan.spec)))),
      name_of(compute_dtype(config)), config.training.train_batch_size.get(), config.data.sequence_length,
      config.training.train_micro_batch_size_per_gpu.get(), plan.flops_per_step() / 1e12, stages_table(plan),
      cards_table(plan), plan.config.run.device == "cpu" ? verdict_on_host(plan) : "", verdict_on_cards(plan));
}

json::object as_json(const PlannedLayout& layout) {
  json::object memory;
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind)
    memory[name_of(static_cast<MemoryKind>(kind))] = layout.memory.at(kind);
  memory["all"] = layout.bytes();
  memory["host"] = layout.host_bytes;
  return {{"zero_stage", layout.stage},
          {"ranks", layout.ranks},
          {"micro_batch", layout.micro_batch},
          {"memory", std::move(memory)},
          {"sent_bytes", layout.sent_bytes()}};
}

json::value as_json(const std::optional<PlannedLayout>& layout) {
  return layout ? json::value(as_json(*layout)) : json::value(nullptr);
}

std::string as_json(const Plan& plan) {
  json::array stages, cards;
  for (const PlannedLayout& layout : plan.stages) stages.push_back(as_json(layout));
  for (std::size_t card = 0; card < plan.cards.size(); ++card) {
    json::array by_stage;
    for (const auto& layout : plan.fewest[card]) by_stage.push_back(as_json(layout));
    cards.push_back({{"card", plan.cards[card].name},
                     {"memory_gib", plan.cards[card].memory_gib},
                     {"fewest_ranks_by_stage", std::move(by_stage)},
                     {"fewest_ranks_offloaded", as_json(plan.fewest_offloaded[card])}});
  }
  const bool fits = plan.host_room && plan.own().bytes() <= *plan.host_room;
  return json::serialize(
      json::object{{"ranks", plan.ranks},
                   {"ranks_per_node", plan.ranks_on_node},
                   {"flops_per_step", plan.flops_per_step()},
                   {"stages", std::move(stages)},
                   {"host_bytes_a_rank", plan.host_room ? json::value(*plan.host_room) : json::value(nullptr)},
                   {"fits_this_host", plan.host_room ? json::value(fits) : json::value(nullptr)},
                   {"nearest_fit", as_json(plan.nearest_fit)},
                   {"cards", std::move(cards)}});
}

/// A plan for GPUs is about other machines.
bool does_not_fit(const Plan& plan) {
  return plan.config.run.device == "cpu" && plan.host_room && plan.own().bytes() > *plan.host_room;
}

ExitCode run(const CommandLine& line, const Invocation& invocation) {
  const auto ranks = static_cast<int>(line.integer(kForRanks.name, 1, kMostRanks).value_or(invocation.ranks));
  Plan plan = make_plan(line, ranks);
  fill(plan);
  print_output("{}\n", line.has(kJson.name) ? as_json(plan) : as_text(plan));
  return does_not_fit(plan) ? ExitCode::does_not_fit : ExitCode::done;
}

}  // namespace

Command plan_command() {
  return {.name = "plan",
          .summary = "Foresees memory and traffic of a run, and on how many ranks it fits.",
          .usage = "ferula plan CONFIG.toml [options]",
          .description =
              "Memory by kind and traffic of a rank at each ZeRO stage, whether it fits this host, and the fewest\n"
              "GPUs of each card that hold it, at this micro batch. Nothing is started. Memory is what a run counts\n"
              "(see its summary); of a GPU's, 1 GiB is set aside for CUDA and NCCL. With --card the plan is for GPUs,\n"
              "whatever this host has; without it ends with 3 where the run does not fit this host.",
          .options = {kSet, kForRanks, kRanksPerNode, kCard, kJson},
          .examples = {"ferula plan configs/gpt2-124m.toml --ranks 4", "ferula plan my.toml --card a5000",
                       "ferula plan my.toml --ranks 16 --ranks-per-node 8 --card 24 --json"},
          .ranks = CommandRanks::one_process,
          .stop = CommandStop::ends,
          .run = run};
}

}  // namespace ferula
