#include "app/plan/run_history.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "app/jobs/run_status.hpp"
#include "app/plan/step_simulation.hpp"
#include "base/error.hpp"
#include "comm/planned_transport.hpp"
#include "params/zero_plan.hpp"
#include "storage/file_system.hpp"
#include "train/run_directory.hpp"

namespace ferula {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMostBytes = std::int64_t{1} << 26;

double number(const json::value& object, std::string_view key) { return object.at(key).to_number<double>(); }

std::int64_t integer(const json::value& object, std::string_view key) {
  return static_cast<std::int64_t>(number(object, key));
}

/// Whether the ranks kept their values in common memory: as the plan of such a job has it.
bool gathers_in_common(const MeasuredRun& run, const json::value& summary) {
  const json::array& ranks = summary.at("ranks").as_array();
  const bool on_one_node = std::all_of(
      ranks.begin(), ranks.end(), [&](const json::value& rank) { return rank.at("host") == ranks.front().at("host"); });
  MemoryLedger ledger;
  const std::unique_ptr<Device> device = make_cpu_device(ledger);
  const PlannedJob job{.ranks = run.ranks,
                       .ranks_on_node = on_one_node ? run.ranks : 1,
                       .computes = run.on_gpu ? DeviceKind::cuda : DeviceKind::cpu};
  Mesh mesh(make_planned_transport(job), {.shard = run.ranks}, *device);
  const ZeroPlan plan = make_zero_plan(static_cast<int>(run.stage), GradientReduction::each_micro_batch, mesh);
  return plan.parameter.shard->has_common_memory();
}

/// Of all collectives of a rank that moved something.
double moved_bytes(const MeasuredRun& run, const json::value& summary) {
  const json::object& kinds = summary.at("ranks").at(0).at("communication").as_object();
  const bool in_common = gathers_in_common(run, summary);
  return std::accumulate(kinds.begin(), kinds.end(), 0.0, [&](double sum, const auto& kind) {
    return in_common && kind.key() == "all_gather" ? sum : sum + number(kind.value(), "bytes");
  });
}

/// Of all ranks: each updates its part, or at stage 0 all of it.
double updated_bytes(const MeasuredRun& run) {
  const double copies = run.stage == 0 ? run.ranks : 1.0;
  return copies * static_cast<double>(run.parameters) * bytes_of_update(dtype_named(run.dtype));
}

/// Shares of a step are those of all steps, its length that of the steady ones.
void read_speed(MeasuredRun& run, const json::value& summary) {
  const json::value& speed = summary.at("speed");
  const json::value& seconds = summary.at("seconds");
  const json::value& rank = summary.at("ranks").at(0);
  double busy = 0.0;
  for (const char* phase : {"forward", "backward", "optimizer", "data"}) busy += number(seconds, phase);
  const double computing_share = busy / (busy + number(seconds, "communication"));
  const double flops = number(speed, "flops_per_second");
  const double units = run.ranks * (run.on_gpu ? 1.0 : number(speed, "threads"));
  run.step_seconds = number(speed, "step_seconds");
  run.flops_per_second = flops / units / computing_share;
  const double updating = number(seconds, "optimizer");
  run.pass_flops_per_second = run.flops_per_second * busy / (busy - updating);
  if (const json::value& peak = speed.at("peak_flops_per_second"); peak.is_number())
    run.peak_share = flops / peak.to_number<double>();
  const double steps = busy / number(rank, "step_seconds");
  if (updating > 0.0) run.updated_bytes_per_second = updated_bytes(run) * steps / updating;
  const double bytes_per_step = moved_bytes(run, summary) / steps;
  if (bytes_per_step > 0.0) run.seconds_per_byte = run.step_seconds * (1.0 - computing_share) / bytes_per_step;
  if (!std::isfinite(run.flops_per_second)) throw DataError("no step was measured");
}

MeasuredRun measured_run(FileSystem& files, const std::filesystem::path& folder) {
  const std::string path = RunDirectory{folder}.summary().string();
  const json::value summary = json::parse(read_file(files, path, kMostBytes));
  const json::value& rank = summary.at("ranks").at(0);
  MeasuredRun run{.run = folder.string(),
                  .processor = std::string(summary.at_pointer("/speed/processor").as_string()),
                  .dtype = std::string(summary.at_pointer("/speed/dtype").as_string()),
                  .on_gpu = rank.at("device").as_string().starts_with("cuda"),
                  .ranks = static_cast<int>(integer(summary.at("layout"), "ranks")),
                  .stage = integer(summary.at("layout"), "zero_stage"),
                  .parameters = integer(summary, "parameters"),
                  .expected_bytes = integer(summary.at("memory_expected"), "all"),
                  .counted_bytes = integer(rank.at("memory"), "peak"),
                  .written = std::filesystem::last_write_time(path)};
  read_speed(run, summary);
  return run;
}

/// Doublings between two sizes.
double distance(std::int64_t one, std::int64_t other) {
  return std::abs(std::log2(static_cast<double>(one) / static_cast<double>(other)));
}

}  // namespace

std::vector<MeasuredRun> read_history(const std::filesystem::path& output_dir) try {
  const std::unique_ptr<FileSystem> files = make_posix_file_system();
  std::vector<MeasuredRun> history;
  for (const std::filesystem::path& run : find_runs({output_dir.string()})) {
    try {
      history.push_back(measured_run(*files, run));
    } catch (const std::exception&) {  // not a measurement: the caller says so where there is none at all
    }
  }
  return history;
} catch (const std::filesystem::filesystem_error&) {
  return {};  // it went away, or may not be read: nothing is known
}

const MeasuredRun* nearest_run(const std::vector<MeasuredRun>& history, const RunLikeness& wanted) {
  const auto unlikeness = [&wanted](const MeasuredRun& run) {
    return std::tuple(distance(run.parameters, wanted.parameters), distance(run.ranks, wanted.ranks),
                      -run.written.time_since_epoch().count());
  };
  const MeasuredRun* nearest = nullptr;
  for (const MeasuredRun& run : history) {
    if (run.on_gpu != wanted.on_gpu || run.dtype != wanted.dtype) continue;
    if (run.processor.find(wanted.processor) == std::string::npos) continue;
    if (nearest == nullptr || unlikeness(run) < unlikeness(*nearest)) nearest = &run;
  }
  return nearest;
}

}  // namespace ferula
