// Cases of flat ranges: sums of squares, optimizer updates, initial values.
#include <cmath>

#include "support/op_cases.hpp"

namespace ferula::test {
namespace {

OpCase sum_of_squares(std::int64_t count) {
  return {.name = fmt::format("sum_of_squares_{}", count),
          .operation = "sum_of_squares",
          .tensors = {{.name = "x", .shape = {count}},
                      {.name = "total", .role = Role::inout, .dtype = DType::f64, .shape = {1}, .values = {2.5}}},
          .call = [](Ops& ops, Stream& stream, const TensorSet& set) {
            ops.sum_of_squares(stream, set["x"], set["total"]);
          }};
}

struct Update {
  std::string name;
  std::int64_t count;
  OptimizerRule rule;
  DType value = DType::f32;  // bf16: there is a copy of the master
  int moments = 2;
  double step = 3;

  /// Learning rate, gradient scale, bias corrections (1 − β^step, or 1 without), first step.
  std::vector<double> scalars() const {
    if (!rule.bias_correction) return {0.01, 0.5, 1.0, 1.0, 0.0};
    const double correction1 = 1.0 - std::pow(rule.beta1, step);
    const double correction2 = 1.0 - std::pow(rule.beta2, step);
    return {0.01, 0.5, correction1, correction2, step == 1 ? 1.0 : 0.0};
  }
};

/// Two segments of decay with a gap between them, which has none.
std::vector<DecaySegment> decay_segments(std::int64_t count) {
  return {{0, count / 3, 0.1f}, {count / 2, count - count / 2, 0.01f}};
}

OpCase optimizer_update(const Update& update) {
  OpCase result{.name = fmt::format("optimizer_update_{}_{}_{}", update.name, name_of(update.value), update.count),
                .operation = "optimizer_update"};
  const std::vector<std::int64_t> dims = {update.count};
  result.tensors = {{.name = "scalars", .shape = {kStepScalars}, .values = update.scalars(), .exact = true},
                    {.name = "gradient", .shape = dims},
                    {.name = "master", .role = Role::inout, .shape = dims}};
  if (update.value == DType::bf16)
    result.tensors.push_back({.name = "value", .role = Role::output, .dtype = DType::bf16, .shape = dims});
  if (update.moments >= 1) result.tensors.push_back({.name = "moment1", .role = Role::inout, .shape = dims});
  if (update.moments >= 2) {
    std::vector<double> squares;
    for (std::int64_t index = 0; index < update.count; ++index)
      squares.push_back(0.01 + 0.001 * static_cast<double>(index % 97));
    result.tensors.push_back({.name = "moment2", .role = Role::inout, .shape = dims, .values = squares});
  }
  result.call = [=, segments = decay_segments(update.count)](Ops& ops, Stream& stream, const TensorSet& set) {
    ops.optimizer_update(stream, update.rule, set["scalars"],
                         {set["gradient"], set["master"], set.optional("value"), set.optional("moment1"),
                          set.optional("moment2"), segments});
    stream.synchronize();
  };
  return result;
}

std::vector<Update> updates(std::int64_t count, DType value) {
  const OptimizerRule adamw{.kind = OptimizerKind::adam, .beta2 = 0.95};
  OptimizerRule adam = adamw;
  adam.decoupled_decay = false;
  adam.bias_correction = false;
  const OptimizerRule lion{.kind = OptimizerKind::lion, .beta2 = 0.99};
  const OptimizerRule plain{.kind = OptimizerKind::sgd, .decoupled_decay = false};
  OptimizerRule momentum = plain;
  momentum.momentum = 0.9;
  OptimizerRule nesterov = momentum;
  nesterov.nesterov = true;
  return {{"adamw", count, adamw, value},
          {"adam_l2_uncorrected", count, adam, value},
          {"lion", count, lion, value, 1},
          {"sgd", count, plain, value, 0},
          {"sgd_momentum", count, momentum, value, 1},
          {"sgd_first_step", count, momentum, value, 1, 1},
          {"sgd_nesterov", count, nesterov, value, 1}};
}

OpCase fill_normal(std::int64_t count, DType dtype, std::int64_t first) {
  return {.name = fmt::format("fill_normal_{}_{}_from_{}", name_of(dtype), count, first),
          .operation = "fill_normal",
          .tensors = {{.name = "x", .role = Role::output, .dtype = dtype, .shape = {count}}},
          .call = [first](Ops& ops, Stream& stream, const TensorSet& set) {
            ops.fill_normal(stream, set["x"], 1234, first, 0.02f);
          }};
}

}  // namespace

std::vector<OpCase> range_cases() {
  std::vector<OpCase> cases;
  for (const std::int64_t count : {1, 1000, 20001, 100003, 0}) cases.push_back(sum_of_squares(count));
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::int64_t count : {1, 1037, 6000})
      for (const Update& update : updates(count, dtype)) cases.push_back(optimizer_update(update));
    cases.push_back(fill_normal(1, dtype, 0));
    cases.push_back(fill_normal(133, dtype, 77));
  }
  return cases;
}

std::vector<OpCase> range_timing_cases() {
  constexpr std::int64_t kCount = 8 << 20;
  std::vector<OpCase> cases = {sum_of_squares(kCount), fill_normal(kCount / 8, DType::bf16, 0)};
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Update& update : updates(kCount, dtype)) cases.push_back(optimizer_update(update));
  return cases;
}

}  // namespace ferula::test
