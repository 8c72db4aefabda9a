#include "app/plan/plan_page.hpp"

#include <algorithm>

#include "app/model_setup.hpp"
#include "app/plan/offload_plan.hpp"
#include "app/table.hpp"
#include "base/human.hpp"
#include "cluster/quantities.hpp"

namespace ferula {
namespace {

std::string gibibytes(const GpuCardType& card) { return fmt::format("{:.4g} GiB", card.memory_gib); }

std::string plural(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

/// "4 x RTX A5000", "4 GPUs" of a card about which no more than its memory is known.
std::string cards_in_words(std::int64_t count, const GpuCardType& card) {
  if (card.word.empty()) return fmt::format("{} of {}", plural(count, "GPU"), gibibytes(card));
  return fmt::format("{} x {}", count, card.name);
}

std::string header(const Plan& plan) {
  const Config& config = plan.config;
  std::string text = fmt::format("{} on {}, {} a node", plan.path, plural(plan.ranks, "rank"),
                                 std::min(plan.ranks, plan.ranks_on_node));
  if (plan.queue) text += fmt::format("; {}, partition {}", plan.queue->profile, plan.queue->partition);
  const auto field = [&text](std::string_view name, const std::string& value) {
    text += fmt::format("\n  {:<13}{}", name, value);
  };
  field("model", fmt::format("{}, {} parameters", model_in_words(plan.spec),
                             human_count(static_cast<double>(parameter_count(model_table(config, plan.spec))))));
  field("numbers", std::string(name_of(compute_dtype(config))));
  field("step", fmt::format("{} samples of {} tokens, {} a rank at once; {:.3g} TFLOP",
                            config.training.train_batch_size.get(), config.data.sequence_length,
                            config.training.train_micro_batch_size_per_gpu.get(), plan.flops_per_step() / 1e12));
  field("planned for", plan.place);
  field("computing", plan.pace.computing);
  if (!plan.pace.sending.empty() && plan.ranks > 1) field("sending", plan.pace.sending);
  if (plan.ranks > plan.ranks_on_node && !plan.pace.measured && plan.pace.seconds_per_byte)
    field("", "between nodes it takes longer: their network is not known here");
  return text + "\n";
}

// --- layouts --------------------------------------------------------------------------------------------------------

/// The stages on these ranks, then what is near the configured one.
std::string layouts_table(const Plan& plan) {
  std::vector<std::string> columns{"layout"};
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind) columns.emplace_back(name_of(static_cast<MemoryKind>(kind)));
  columns.emplace_back("a rank");
  if (offloads_optimizer(plan.config)) columns.emplace_back("on the host");
  columns.insert(columns.end(), {"sent a step", "a step", "fits"});
  Table table(std::move(columns));
  const auto add = [&](std::string name, const PlannedLayout& layout) {
    std::vector<std::string> row{std::move(name)};
    for (const std::int64_t bytes : layout.memory) row.push_back(human_bytes(bytes));
    row.push_back(human_bytes(layout.bytes()));
    if (offloads_optimizer(plan.config)) row.push_back(human_bytes(layout.host_bytes));
    row.push_back(human_bytes(layout.sent_bytes()));
    const std::optional<StepTime> time = plan.time_of(layout);
    row.push_back(time ? time_in_cell(time->total()) : "-");
    const std::optional<std::int64_t> room = plan.room(layout.ranks);
    row.emplace_back(!room ? "-" : plan.needed(layout) <= *room ? "yes" : "no");
    table.add(std::move(row));
  };
  for (const PlannedLayout& layout : plan.stages)
    add(fmt::format("stage {}{}", layout.stage, &layout == &plan.own() ? " (configured)" : ""), layout);
  for (const Neighbour& near : plan.neighbours) add(near.in_short(), near.layout);
  return table.text();
}

std::string inference_table(const Plan& plan) {
  Table table(
      {fmt::format("a text of {} tokens a rank", plan.config.model.context), "values", "to load", "to generate"});
  for (const PlannedInference& each : plan.inferences)
    table.add({fmt::format("ZeRO stage {}", each.stage),
               human_bytes(each.memory.loaded.at(static_cast<std::size_t>(MemoryKind::parameters))),
               human_bytes(sum_of(each.memory.loaded)), human_bytes(sum_of(each.memory.generating))});
  return table.text();
}

/// "8 (21.3 GiB)": GPUs, and what each of them holds.
std::string gpus_in_cell(const std::optional<PlannedLayout>& layout, int most) {
  if (!layout) return fmt::format("more than {}", most);
  return fmt::format("{} ({})", layout->ranks, human_bytes(layout->bytes()));
}

std::string cards_table(const Plan& plan) {
  Table table({"fewest GPUs that hold it", "memory", "stage 0", "stage 1", "stage 2", "stage 3"});
  for (const PlannedCard& card : plan.cards) {
    std::vector<std::string> row{std::string(card.type.name), gibibytes(card.type)};
    for (const auto& layout : card.fewest) row.push_back(gpus_in_cell(layout, plan.most_gpus));
    table.add(std::move(row));
  }
  return table.text();
}

// --- verdicts -------------------------------------------------------------------------------------------------------

/// What each GPU holds, with what is set aside, of what it has.
std::string share_of_card(const GpuCardType& card, std::int64_t bytes) {
  return fmt::format("{} of {}", human_bytes(bytes + kGpuOverhead), gibibytes(card));
}

/// "512 x RTX A5000 do not hold it at any stage", with the limit that ended the search where a cluster has set it.
std::string too_few_cards(const Plan& plan, const GpuCardType& card) {
  const std::string limit = plan.most_gpus == kMostPlannedGpus || !plan.queue
                                ? ""
                                : fmt::format(" (a job of partition {} gets no more)", plan.queue->partition);
  return fmt::format("{} do not hold it at any stage{}", cards_in_words(plan.most_gpus, card), limit);
}

std::string inference_verdict(const std::string& task, const Plan& plan, const PlannedCard& card,
                              const std::optional<PlannedInference>& found, MemoryByKind InferenceMemory::*part) {
  if (!found) return fmt::format("{}: {}", task, too_few_cards(plan, card.type));
  const std::string share = share_of_card(card.type, sum_of(found->memory.*part));
  if (found->ranks == 1) return fmt::format("{}: {} is enough ({})", task, cards_in_words(1, card.type), share);
  return fmt::format("{}: needs {} with ZeRO {} ({}); fewer are not enough", task,
                     cards_in_words(found->ranks, card.type), found->stage, share);
}

/// Where the times of a card come from.
std::string source_of_times(const Pace& pace, int ranks) {
  const bool sends = ranks > 1 && pace.seconds_per_byte;
  if (!pace.measured)
    return fmt::format("assumptions: {}{}", pace.computing_rate, sends ? ", " + pace.sending_rate : "");
  return fmt::format("measured by {}{}", pace.measured->run, sends ? "; sending: " + pace.sending : "");
}

std::string duration_on(const Plan& plan, const PlannedCard& card) {
  const PlannedLayout* layout = card.least();
  const auto time = layout == nullptr ? std::nullopt : step_time(*layout, plan.flops_per_sample(), card.pace);
  if (!time) return fmt::format("Time: {}\n", card.pace.computing);
  std::string sending;
  if (layout->ranks > 1)
    sending = card.pace.seconds_per_byte ? ", sending " + time_in_words(time->sending_s) : ", sending unknown";
  return fmt::format("Time: {} a step: computing {}{} ({})\n", time_in_words(time->total()),
                     time_in_words(time->computing_s), sending, source_of_times(card.pace, layout->ranks));
}

std::string verdicts_on_cards(const Plan& plan) {
  std::string text;
  for (const PlannedCard& card : plan.cards) {
    text += fmt::format("{}{}\n", text.empty() ? "" : "\n", card.type.name);
    if (plan.names_cards) {  // all of them together would fill a screen
      const std::string task = fmt::format("Generating {} tokens, a text a GPU", plan.config.model.context);
      text += "  " + inference_verdict("Loading", plan, card, card.loading, &InferenceMemory::loaded) + "\n";
      text += "  " + inference_verdict(task, plan, card, card.generating, &InferenceMemory::generating) + "\n";
    }
    text += "  " + training_verdict(plan, card) + "\n";
    const PlannedLayout* least = card.least();
    text += offload_line(least == nullptr ? std::nullopt : std::optional(*least), card.fewest_offloaded,
                         plan.ranks_on_node);
    text += "  " + duration_on(plan, card);
  }
  return text + fmt::format(
                    "\n{} of each card are set aside for CUDA, NCCL and their libraries: an assumption, runs do not "
                    "measure it\n",
                    human_bytes(kGpuOverhead));
}

std::string verdict_on_host(const Plan& plan) {
  const std::string place = plan.queue ? "a node of partition " + plan.queue->partition : "this host";
  const std::optional<std::int64_t> room = plan.host_room(plan.ranks);
  if (!room) return place + " does not tell how much memory is free\n";
  const std::string need = fmt::format("{}: a rank needs {} of the {} that are free for it", place,
                                       human_bytes(plan.own().bytes_on_host()), human_bytes(*room));
  if (plan.own().bytes_on_host() <= *room) return need + ": it fits\n";
  if (!plan.nearest_fit) return need + ": it does not fit on so many ranks at any stage and micro batch\n";
  const PlannedLayout& fit = *plan.nearest_fit;
  const std::string batch = fit.micro_batch == plan.own().micro_batch
                                ? ""
                                : fmt::format(
                                      " --set training.train_micro_batch_size_per_gpu={} --set "
                                      "training.gradient_accumulation_steps={}",
                                      fit.micro_batch, fit.accumulation);
  return fmt::format("{}: it does not fit; this does: --set zero_optimization.stage={}{} ({} a rank)\n", need,
                     fit.stage, batch, human_bytes(fit.bytes_on_host()));
}

/// What comes of a run that is longer than a job may be.
std::string limit_in_words(const PlannedQueue& queue, double seconds) {
  if (!queue.time_s) return "";
  const auto limit = static_cast<double>(*queue.time_s);
  const std::string name = queue.qos.empty() ? "a job" : "a job of QOS " + queue.qos;
  if (seconds <= limit) return fmt::format(", within the {} that {} gets", slurm_time(*queue.time_s), name);
  const std::string then =
      queue.requeue ? fmt::format("it goes on in about {} jobs, each queued again at the limit; nothing is to be done",
                                  static_cast<std::int64_t>(seconds / limit) + 1)
                    : "slurm.requeue = true goes on behind the limit";
  return fmt::format(", longer than the {} that {} gets:\n  {}", slurm_time(*queue.time_s), name, then);
}

/// How long the configured run takes where it is planned for.
std::string length_of_run(const Plan& plan) {
  const std::optional<StepTime> time = plan.time_of(plan.own());
  if (!time) return "";
  const std::string certainty = plan.pace.measured ? "at the rate that was measured" : "under the assumptions above";
  const std::string where = plan.is_for_cards() ? "on " + cards_in_words(plan.ranks, plan.cards.front().type)
                                                : fmt::format("on {} of {}", plural(plan.ranks, "rank"), plan.place);
  const std::optional<std::int64_t>& steps = plan.config.training.steps.value;
  if (!steps) {
    const auto tokens = static_cast<double>(plan.own().samples() * plan.config.data.sequence_length);
    return fmt::format("a step takes about {} {}, {}; a billion tokens take {}\n", time_in_words(time->total()), where,
                       certainty, time_in_words(time->total() * 1e9 / tokens));
  }
  const double seconds = time->total() * static_cast<double>(*steps);
  return fmt::format("{} take about {} {}, {}{}\n", plural(*steps, "step"), time_in_words(seconds), where, certainty,
                     plan.queue ? limit_in_words(*plan.queue, seconds) : "");
}

/// How good earlier forecasts of memory were.
std::string memory_of_history(const Plan& plan) {
  if (!plan.pace.measured) return "";
  const MeasuredRun& run = *plan.pace.measured;
  const auto expected = static_cast<double>(run.expected_bytes), counted = static_cast<double>(run.counted_bytes);
  return fmt::format("{}: {} a rank was foreseen, {} counted ({:+.1f} %)\n", run.run, human_bytes(run.expected_bytes),
                     human_bytes(run.counted_bytes), 100.0 * (expected / counted - 1.0));
}

}  // namespace

std::string training_verdict(const Plan& plan, const PlannedCard& card) {
  const PlannedLayout* found = card.least();
  const std::string alone = fmt::format("1 GPU is not enough ({})", human_bytes(card.alone.bytes() + kGpuOverhead));
  if (found == nullptr)
    return fmt::format("Training: {}; a smaller micro batch or model does; {}", too_few_cards(plan, card.type), alone);
  std::string share = share_of_card(card.type, found->bytes());
  if (const std::string host = host_memory_in_words(*found, plan.ranks_on_node); !host.empty()) share += "; " + host;
  if (found->ranks == 1) return fmt::format("Training: {} is enough ({})", cards_in_words(1, card.type), share);
  const std::string batch =
      found->samples() == plan.config.training.train_batch_size.get()
          ? ""
          : fmt::format("; its train_batch_size is a multiple of {}", found->ranks * found->micro_batch);
  return fmt::format("Training: needs {} with ZeRO {} ({}); {}{}", cards_in_words(found->ranks, card.type),
                     found->stage, share, alone, batch);
}

bool does_not_fit(const Plan& plan) {
  const bool is_on_host = plan.config.run.device == "cpu";
  if (!is_on_host && !(plan.queue && plan.is_for_cards())) return false;
  const std::optional<std::int64_t> room = is_on_host ? plan.host_room(plan.ranks) : plan.room(plan.ranks);
  return room && plan.needed(plan.own()) > *room;
}

std::string plan_page(const Plan& plan) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}{}{}", header(plan), layouts_table(plan), inference_table(plan),
                     cards_table(plan), verdicts_on_cards(plan),
                     plan.config.run.device == "cpu" ? verdict_on_host(plan) : "", length_of_run(plan),
                     memory_of_history(plan));
}

}  // namespace ferula
