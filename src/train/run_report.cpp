#include "train/run_report.hpp"

#include <algorithm>
#include <cmath>
#include <regex>

#include "base/error.hpp"
#include "base/human.hpp"

namespace ferula {
namespace {

std::string field(std::string_view name, const std::string& value) { return fmt::format("  {:<14}{}\n", name, value); }

std::string layout_text(const RunFacts& facts) {
  return fmt::format("{} rank{} x {} thread{}, ZeRO stage {} ({}), shard {} x replica {}", facts.mesh.ranks(),
                     facts.mesh.ranks() == 1 ? "" : "s", facts.threads, facts.threads == 1 ? "" : "s", facts.stage,
                     facts.stage_name, facts.mesh.shard, facts.mesh.replica);
}

std::string expected_memory(const MemoryByKind& memory, const std::optional<std::int64_t>& room) {
  std::string kinds;
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind)
    kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", name_of(static_cast<MemoryKind>(kind)),
                         human_bytes(memory[kind]));
  const std::string of_room = room ? fmt::format(" of {}", human_bytes(*room)) : std::string();
  return fmt::format("{} a rank expected{}: {}", human_bytes(sum_of(memory)), of_room, kinds);
}

std::string expected_host_memory(const RunFacts& facts) {
  const std::string of_room = facts.host_room ? fmt::format(" of {}", human_bytes(*facts.host_room)) : std::string();
  return fmt::format("{} a rank expected{}: offloaded optimizer state", human_bytes(facts.host_memory), of_room);
}

std::string mfu_text(const std::optional<double>& mfu) {
  return mfu ? fmt::format("mfu {:.0f} %", 100.0 * *mfu) : std::string("mfu -");
}

std::string time_table(const PhaseTimes& phases, double elapsed) {
  std::string text = "where the time went (rank 0)\n";
  const auto row = [&](std::string_view name, double seconds) {
    text += fmt::format("  {:<14}{:9.2f} s {:5.1f} %\n", name, seconds, elapsed > 0 ? 100.0 * seconds / elapsed : 0.0);
  };
  for (std::size_t each = 0; each < kPhases; ++each)
    row(name_of(static_cast<Phase>(each)), phases.seconds(static_cast<Phase>(each)));
  row("other", std::max(0.0, elapsed - phases.total_seconds()));
  return text;
}

/// Counted on each rank, below it what was foreseen of the first.
std::string memory_table(const std::vector<RankSummary>& ranks, const RunFacts& facts) {
  const bool offloads = facts.host_memory > 0;
  std::string text = "memory a rank (peak)\n  rank      ";
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind)
    text += fmt::format("{:>12}", name_of(static_cast<MemoryKind>(kind)));
  text += fmt::format("{:>12}{}\n", "all", offloads ? fmt::format("{:>12}", "on the host") : "");
  const auto row = [&](const std::string& name, const MemoryByKind& kinds, std::int64_t all, std::int64_t host) {
    text += fmt::format("  {:<10}", name);
    for (const std::int64_t bytes : kinds) text += fmt::format("{:>12}", human_bytes(bytes));
    text += fmt::format("{:>12}{}\n", human_bytes(all), offloads ? fmt::format("{:>12}", human_bytes(host)) : "");
  };
  for (const RankSummary& rank : ranks)
    row(fmt::format("{}", rank.rank), rank.memory_bytes, rank.peak_bytes, rank.host_bytes);
  row("expected", facts.memory, sum_of(facts.memory), facts.host_memory);
  return text;
}

std::string traffic_table(const RankSummary& rank) {
  std::string text;
  for (std::size_t each = 0; each < kCollectives; ++each) {
    const Traffic& traffic = rank.traffic[each];
    if (traffic.calls == 0) continue;
    text += fmt::format("  {:<16}{:>10} calls {:>12} {:9.2f} s\n", name_of(static_cast<Collective>(each)),
                        traffic.calls, human_bytes(traffic.bytes), traffic.seconds);
  }
  return text.empty() ? text : "traffic of the steps (rank 0)\n" + text;
}

/// Measured, and what was foreseen before the run.
std::string step_text(const RunFacts& facts, const RunOutcome& outcome) {
  if (!outcome.step_seconds) return "";
  std::string text = fmt::format("a step took {:.4g} s", *outcome.step_seconds);
  if (facts.step_seconds)
    text += fmt::format("; {:.4g} s were foreseen from {}", *facts.step_seconds, facts.step_source);
  return text + "\n";
}

}  // namespace

std::string run_header(const RunFacts& facts) {
  std::string text = fmt::format("ferula {} ({})  run {}\n", facts.version, facts.revision, facts.name);
  text += field("layout", layout_text(facts));
  text += field("communication", facts.communication);
  for (const std::string& gpu : facts.gpus) text += field(&gpu == facts.gpus.data() ? "GPUs" : "", gpu);
  text +=
      field("model", fmt::format("{}, {} parameters", facts.model, human_count(static_cast<double>(facts.parameters))));
  text += field("numbers", facts.compute);
  text += field("optimizer", facts.optimizer);
  text += field("data", facts.data);
  text += field("batch", facts.batch);
  text += field("memory", expected_memory(facts.memory, facts.memory_room));
  if (facts.host_memory > 0) text += field("host memory", expected_host_memory(facts));
  text += field("directory", facts.directory);
  if (!facts.resumed_from.empty())
    text += field("resumes", fmt::format("{} after step {}", facts.resumed_from, facts.first_step));
  text.pop_back();
  return text;
}

std::string offload_advice(std::int64_t bytes) {
  return bytes == 0
             ? std::string()
             : fmt::format("zero_optimization.offload_optimizer.device = \"cpu\" would move {} of it to the host",
                           human_bytes(bytes));
}

void require_room(const RunFacts& facts) {
  const std::int64_t needed = sum_of(facts.memory);
  if (facts.memory_room && needed > *facts.memory_room) {
    const std::string advice = offload_advice(facts.offloadable);
    throw CapacityError(fmt::format(
        "this run does not fit: a rank needs {}, and {} is free for it; a higher zero_optimization.stage, a smaller "
        "train_micro_batch_size_per_gpu or more ranks need less a rank; {}",
        human_bytes(needed), human_bytes(*facts.memory_room),
        advice.empty() ? "in a SLURM job --mem asks for more" : advice));
  }
  if (facts.host_room && facts.host_memory > *facts.host_room)
    throw CapacityError(fmt::format(
        "this run does not fit: a rank keeps {} of optimizer state in the host's memory, and {} is free for it there; "
        "more nodes or fewer ranks on each need less of it; in a SLURM job --mem asks for more",
        human_bytes(facts.host_memory), human_bytes(std::max<std::int64_t>(0, *facts.host_room))));
}

std::string progress_text(const ProgressLine& line) {
  return fmt::format("step {}/{}  loss {:.3f}  |g| {:.2f}  lr {:.1e}  {} tok/s  {}  {}  eta {}", line.step.step,
                     line.steps, line.step.loss, line.step.gradient_norm, line.step.learning_rate,
                     human_count(line.tokens_per_second), mfu_text(line.mfu), human_gibibytes(line.memory_peak_bytes),
                     human_duration(line.seconds_left));
}

std::string longer_command(std::string command, const std::string& settings) {
  const std::regex of_setting("(?:^| --set )([^ =]+)="), dot("\\.");
  for (std::sregex_iterator each(settings.begin(), settings.end(), of_setting), end; each != end; ++each) {
    const std::string key = std::regex_replace((*each)[1].str(), dot, "\\.");
    command = std::regex_replace(command, std::regex(" --set[ =]'?" + key + "=[^ ']*'?"), "");
  }
  return fmt::format("{} --set {}", command, settings);
}

std::string run_account(const RunFacts& facts, const RunOutcome& outcome, const PhaseTimes& phases,
                        const std::vector<RankSummary>& ranks) {
  std::string text = fmt::format("{} after step {} of {}: loss {:.4f}", outcome.exit_reason, outcome.steps, facts.steps,
                                 outcome.final_loss);
  if (outcome.validation_loss) text += fmt::format(", validation loss {:.4f}", *outcome.validation_loss);
  if (outcome.tokens_per_second) text += fmt::format(", {} tok/s", human_count(*outcome.tokens_per_second));
  text += "\n" + step_text(facts, outcome);
  text += time_table(phases, outcome.elapsed_seconds) + memory_table(ranks, facts) + traffic_table(ranks.front());
  const SlowestRank slowest = slowest_rank(ranks);
  text += fmt::format("slowest rank: {} ({}), {:.1f} % above the median\n", slowest.rank,
                      ranks.at(static_cast<std::size_t>(slowest.rank)).host, slowest.slower_percent);
  text += fmt::format("files: {} (metrics.jsonl, summary.json, log.txt, config.toml)\n", facts.directory);
  if (!outcome.checkpoint.empty())
    text += fmt::format("last checkpoint: {}\nwrite text:  ferula generate --checkpoint {} --prompt \"{}\"\n",
                        outcome.checkpoint, shell_word(outcome.checkpoint), facts.prompt);
  text += outcome.steps < facts.steps ? fmt::format("go on:       {}", facts.continuing)
                                      : "train longer: " + longer_command(facts.continuing, facts.longer);
  return text;
}

}  // namespace ferula
