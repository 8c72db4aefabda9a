#include "app/run_measures.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace ferula {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMostBytes = std::int64_t{1} << 28;

json::value parsed(const std::string& path, const std::string& text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) throw DataError(fmt::format("{}: expected JSON, found: {}", path, error.message()));
  return value;
}

double number(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_number())
    throw DataError(fmt::format("expected a measured {} in the run's files, found none; train some steps more", key));
  return value->to_number<double>();
}

double sent_bytes(const json::value& communication) {
  double bytes = 0.0;
  if (communication.is_object())
    for (const auto& [name, counts] : communication.as_object()) bytes += number(counts.as_object(), "bytes");
  return bytes;
}

void read_ranks(RunMeasures& run, const json::array& ranks) {
  run.ranks = std::ssize(ranks);
  for (const json::value& rank : ranks) {
    const json::value& memory = rank.at("memory");
    if (!memory.is_object()) continue;
    run.peak_bytes = std::max(run.peak_bytes, static_cast<std::int64_t>(number(memory.as_object(), "peak")));
    if (memory.as_object().contains("host"))  // an older version's summary has none
      run.host_bytes = std::max(run.host_bytes, static_cast<std::int64_t>(number(memory.as_object(), "host")));
  }
  if (run.steps > 0)
    run.sent_bytes_per_step = sent_bytes(ranks.at(0).at("communication")) / static_cast<double>(run.steps);
}

}  // namespace

RunMeasures read_run_measures(FileSystem& files, const RunDirectory& directory) {
  const std::string path = directory.summary().string();
  const json::value summary = parsed(path, read_file(files, path, kMostBytes));
  const json::object& fields = summary.as_object();
  RunMeasures run{.stage = static_cast<std::int64_t>(number(fields.at("layout").as_object(), "zero_stage")),
                  .steps = static_cast<std::int64_t>(number(fields, "steps")),
                  .expected_bytes = static_cast<std::int64_t>(number(fields.at("memory_expected").as_object(), "all")),
                  .final_loss = number(fields, "final_loss")};
  read_ranks(run, fields.at("ranks").as_array());
  if (const json::value& rate = fields.at("tokens_per_second"); rate.is_number())
    run.tokens_per_second = rate.to_number<double>();
  const std::string metrics = read_file(files, directory.metrics().string(), kMostBytes);
  const json::value first = parsed(directory.metrics().string(), metrics.substr(0, metrics.find('\n')));
  run.first_loss = number(first.as_object(), "loss");
  return run;
}

std::string milestone_text(const RunMeasures& run, std::int64_t sequence_length) {
  const std::string rule(60, '=');
  const double samples = run.tokens_per_second.value_or(0.0) / static_cast<double>(sequence_length);
  return fmt::format(
      "{0}\nLab 05 Milestone: DeepSpeed Training Complete!\n{0}\nZeRO Stage: {1}\nCPU Offload: {6}\n"
      "Initial Loss: {2:.4f}\nFinal Loss:   {3:.4f}\nMemory per GPU: {4:.1f} GB\nTraining Speed: {5:.0f} "
      "samples/sec\n{0}",
      rule, run.stage, run.first_loss, run.final_loss, static_cast<double>(run.peak_bytes) / 1e9, samples,
      run.host_bytes > 0 ? "Enabled" : "Disabled");
}

}  // namespace ferula
