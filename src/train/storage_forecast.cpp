#include "train/storage_forecast.hpp"

#include <algorithm>
#include <numeric>

#include "checkpoint/checkpoint_writer.hpp"
#include "ops/optimizer_range.hpp"

namespace ferula {
namespace {

constexpr std::int64_t kLogBytesAStep = 400;  // a line of metrics.jsonl, and its share of log.txt
constexpr std::int64_t kRunFiles = 12;        // log, metrics, summary, configuration, job, lock, …

}  // namespace

std::int64_t checkpoint_bytes(const ModelSpec& model, const OptimizerRule& rule) {
  std::int64_t bytes = 0;
  for (const UnitSpec& unit : model)
    for (const ParamSpec& param : unit.params) {
      bytes += bytes_of(param.storage, param.count());
      if (!param.trainable) continue;
      const int kept = (param.storage != DType::f32) + keeps_moment1(rule) + keeps_moment2(rule);
      bytes += kept * bytes_of(DType::f32, param.count());
    }
  return bytes;
}

std::int64_t SavingPlan::most_at_once() const {
  if (!steps) return every_steps > 0 ? std::max<std::int64_t>(retention.keep_last, 0) + 1 : 1;
  const std::int64_t in_between = every_steps > 0 ? *steps / every_steps : 0;
  const bool ends_between = every_steps <= 0 || *steps % every_steps != 0;
  const std::int64_t saves = in_between + (ends_between && *steps > 0 ? 1 : 0);
  if (retention.keep_last <= 0) return saves;
  std::int64_t for_ever = 0;
  if (retention.keep_every > 0 && every_steps > 0) for_ever = *steps / std::lcm(every_steps, retention.keep_every);
  return std::min(saves, for_ever + retention.keep_last + 1);
}

FreeSpace StorageForecast::left_to_write(std::int64_t present) const {
  const std::int64_t more = std::max<std::int64_t>(1, checkpoints - present);
  return {.bytes = more * checkpoint.bytes + log_bytes, .files = more * checkpoint.files + kRunFiles};
}

StorageForecast forecast_storage(const ModelSpec& model, const OptimizerRule& rule, const SavingPlan& plan, int ranks) {
  return {.checkpoint = room_for_checkpoint(checkpoint_bytes(model, rule), ranks),
          .checkpoints = plan.most_at_once(),
          .log_bytes = kLogBytesAStep * plan.steps.value_or(0)};
}

}  // namespace ferula
