#include "train/run_summary.hpp"

#include <boost/json.hpp>

#include <cmath>
#include <exception>

#include "base/failure.hpp"
#include "train/json_value.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

bool is_comm_error(const std::exception_ptr& error) try { std::rethrow_exception(error); } catch (const CommError&) {
  return true;
} catch (...) {
  return false;
}

json::object layout_of(const RunFacts& facts) {
  return {{"ranks", facts.mesh.ranks()},   {"zero_stage", facts.stage},       {"shard", facts.mesh.shard},
          {"replica", facts.mesh.replica}, {"pipeline", facts.mesh.pipeline}, {"tensor", facts.mesh.tensor}};
}

json::object seconds_of(const PhaseTimes& phases) {
  json::object seconds;
  for (std::size_t each = 0; each < kPhases; ++each)
    seconds[name_of(static_cast<Phase>(each))] = phases.seconds(static_cast<Phase>(each));
  return seconds;
}

json::value memory_of(const RankSummary& rank) {
  if (rank.peak_bytes == 0) return nullptr;  // it failed before it had any
  json::object memory;
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind)
    memory[name_of(static_cast<MemoryKind>(kind))] = rank.memory_bytes[kind];
  memory["peak"] = rank.peak_bytes;
  memory["host"] = rank.host_bytes;
  return memory;
}

json::value communication_of(const RankSummary& rank) {
  if (rank.steps == 0) return nullptr;
  json::object communication;
  for (std::size_t each = 0; each < kCollectives; ++each) {
    const Traffic& traffic = rank.traffic[each];
    communication[name_of(static_cast<Collective>(each))] = {{"calls", traffic.calls},
                                                             {"bytes", traffic.bytes},
                                                             {"elements", traffic.elements},
                                                             {"seconds", traffic.seconds}};
  }
  return communication;
}

/// Of rank 0, before the run; `ranks` has what was counted.
json::object expected_of(const RunFacts& facts) {
  const MemoryByKind& memory = facts.memory;
  json::object expected;
  for (std::size_t kind = 0; kind < kMemoryKinds; ++kind)
    expected[name_of(static_cast<MemoryKind>(kind))] = memory[kind];
  expected["all"] = sum_of(memory);
  expected["host"] = facts.host_memory;
  return expected;
}

/// What the ranks computed with and how fast: what `ferula plan` learns of a machine.
json::object speed_of(const RunFacts& facts, const RunOutcome& outcome) {
  const double flops = outcome.tokens_per_second.value_or(0.0) * facts.flops_per_token;
  const auto measured = [](double value) { return value > 0.0 ? json::value(value) : json::value(nullptr); };
  return {{"processor", facts.processor},
          {"threads", facts.threads},
          {"dtype", facts.compute_type},
          {"step_seconds", measured(outcome.step_seconds.value_or(0.0))},
          {"step_seconds_expected", measured(facts.step_seconds.value_or(0.0))},
          {"flops_per_second", measured(flops)},
          {"peak_flops_per_second", measured(facts.peak_flops)}};
}

json::array ranks_of(const std::vector<RankSummary>& ranks) {
  json::array rows;
  for (const RankSummary& rank : ranks)
    rows.push_back(json::object{{"rank", rank.rank},
                                {"host", rank.host},
                                {"device", rank.device},
                                {"memory", memory_of(rank)},
                                {"communication", communication_of(rank)},
                                {"step_seconds", rank.steps > 0 ? json::value(rank.step_seconds) : nullptr}});
  return rows;
}

/// Null where there is nothing to compare: before the first step, or where only a failed rank tells of several.
json::value slowest_of(const RunFacts& facts, const std::vector<RankSummary>& ranks) {
  if (std::ssize(ranks) != facts.mesh.ranks() || ranks.front().steps == 0) return nullptr;
  const SlowestRank slowest = slowest_rank(ranks);
  return {{"rank", slowest.rank}, {"slower_percent", slowest.slower_percent}};
}

}  // namespace

std::string summary_json(const RunFacts& facts, const RunOutcome& outcome, const PhaseTimes& phases,
                         const std::vector<RankSummary>& ranks) {
  const json::object summary{
      {"version", facts.version},
      {"revision", facts.revision},
      {"command", facts.command},
      {"exit_reason", outcome.exit_reason},
      {"layout", layout_of(facts)},
      {"parameters", facts.parameters},
      {"steps", outcome.steps},
      {"final_loss", number_or_null(outcome.final_loss)},
      {"validation_loss", outcome.validation_loss ? number_or_null(*outcome.validation_loss) : json::value(nullptr)},
      {"tokens_per_second",
       outcome.tokens_per_second ? number_or_null(*outcome.tokens_per_second) : json::value(nullptr)},
      {"elapsed_seconds", number_or_null(outcome.elapsed_seconds)},
      {"seconds", std::isfinite(outcome.elapsed_seconds) ? json::value(seconds_of(phases)) : nullptr},
      {"speed", speed_of(facts, outcome)},
      {"memory_expected", expected_of(facts)},
      {"ranks", ranks_of(ranks)},
      {"slowest_rank", slowest_of(facts, ranks)},
  };
  return json::serialize(summary) + "\n";
}

void write_summary(FileSystem& files, const RunDirectory& directory, int rank, const std::string& text, Log& log) {
  const std::string draft = fmt::format("{}.of-rank-{}", directory.summary().string(), rank);
  try {
    write_file_atomically(files, draft, text, Replace::existing);
    files.rename(draft, directory.summary().string(), Replace::existing);
  } catch (const Error& error) {
    log.warning(fmt::format("summary.json was not written: {}", error.what()));
  }
}

void write_failed_summary(FileSystem& files, const RunDirectory& directory, const RunFacts& facts, RunOutcome outcome,
                          Mesh& mesh, Execution& execution, const RankTotals& totals, Log& log) {
  const bool only_heard = is_comm_error(std::current_exception());
  if (only_heard && mesh.rank() != 0) return;
  outcome.exit_reason = "failed: " + failure_of(std::current_exception()).message;
  write_summary(files, directory, mesh.rank(),
                summary_json(facts, outcome, execution.phases, {summary_of_rank(mesh, execution, totals)}), log);
}

}  // namespace ferula
