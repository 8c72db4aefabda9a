#include "app/wizard/wizard_memory.hpp"

#include "app/plan/offload_plan.hpp"
#include "base/human.hpp"
#include "data/tokenizer.hpp"

namespace ferula {
namespace {

constexpr int kHighestStage = 3;
constexpr int kMostGpus = 512;

/// "stage 3", or with fewer samples "stage 3 with 2 samples at once".
std::string layout_in_words(const PlannedLayout& layout, std::int64_t micro_batch) {
  const std::string samples =
      layout.micro_batch == micro_batch
          ? ""
          : fmt::format(" with {} sample{} at once", layout.micro_batch, layout.micro_batch == 1 ? "" : "s");
  return fmt::format("stage {}{}", layout.stage, samples);
}

std::string remedy_in_words(const MemoryOutlook& outlook) {
  if (outlook.nearest)
    return fmt::format("{} does ({})", layout_in_words(*outlook.nearest, outlook.own.micro_batch),
                       human_bytes(outlook.nearest->bytes()));
  if (outlook.offloaded)
    return fmt::format(
        "no stage does on {}; with zero_optimization.offload_optimizer.device = \"cpu\" {} does ({}, and {} "
        "of the host's)",
        outlook.own.ranks, layout_in_words(*outlook.offloaded, outlook.own.micro_batch),
        human_bytes(outlook.offloaded->bytes()), human_bytes(outlook.offloaded->host_bytes));
  if (outlook.fewest)
    return fmt::format("no stage does on {}; {} would at {} ({} each)", outlook.own.ranks, outlook.fewest->ranks,
                       layout_in_words(*outlook.fewest, outlook.own.micro_batch), human_bytes(outlook.fewest->bytes()));
  return "take a smaller model, shorter samples, or fewer of them at once";
}

}  // namespace

MemoryOutlook memory_outlook(Config resolved, const std::string& shard_size, int ranks, int ranks_on_node,
                             const MemoryRoom& room) {
  resolved.zero_optimization.shard_size = shard_size;
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  const std::unique_ptr<Ops> ops = make_cpu_ops(*device);
  const std::int64_t vocabulary = make_tokenizer(resolved)->vocabulary();
  const TransformerSpec spec = transformer_spec(resolved.model, vocabulary);
  const FitPlanner planner(resolved, spec, *device, *ops, ranks_on_node);
  const std::int64_t micro_batch = resolved.training.train_micro_batch_size_per_gpu.get();
  MemoryOutlook outlook{.own = planner.layout(resolved.zero_optimization.stage, ranks, micro_batch), .room = room};
  if (outlook.fits()) return outlook;
  outlook.nearest = planner.nearest_fit(ranks, *room.bytes);
  if (!outlook.nearest && room.card_gib > 0.0) {
    const Config offloaded = with_offloaded_optimizer(resolved);
    outlook.offloaded = FitPlanner(offloaded, spec, *device, *ops, ranks_on_node).nearest_fit(ranks, *room.bytes);
  }
  for (const std::int64_t samples : {micro_batch, std::int64_t{1}})
    if (!outlook.nearest && !outlook.fewest)
      outlook.fewest = planner.fewest_ranks(kHighestStage, samples, *room.bytes, kMostGpus);
  return outlook;
}

std::string in_words(const MemoryOutlook& outlook, std::optional<std::int64_t> before) {
  const std::string unit = outlook.room.card_gib > 0.0 || outlook.room.place == "GPU" ? "GPU" : "process";
  const std::string now = human_bytes(outlook.own.bytes());
  if (!outlook.fits())
    return fmt::format("stage {} does not fit: each {} needs {} of {} ({}); {}", outlook.own.stage, unit, now,
                       human_bytes(*outlook.room.bytes), outlook.room.place, remedy_in_words(outlook));
  std::string text = fmt::format("memory per {}: {}", unit, now);
  if (outlook.room.bytes) text += fmt::format(" of {} ({})", human_bytes(*outlook.room.bytes), outlook.room.place);
  if (outlook.own.host_bytes > 0) text += fmt::format(", and {} of the host's", human_bytes(outlook.own.host_bytes));
  const bool unchanged = before && human_bytes(*before) == now;
  if (before) text += unchanged ? ", as before" : fmt::format(", was {}", human_bytes(*before));
  return text;
}

}  // namespace ferula
