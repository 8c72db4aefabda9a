#include "model/layers.hpp"

namespace ferula {
namespace {

bool is_separate(const UnitSpec& unit, std::size_t param) {
  return param != kAbsent && unit.params[param].placing == Placing::separate;
}

TensorView bias(const UnitPass& unit, const LinearRun& run) {
  return run.bias == kAbsent ? TensorView{} : unit.values.joined(run.bias, run.parts);
}

}  // namespace

TensorView UnitPass::value(std::size_t param) const { return param == kAbsent ? TensorView{} : values.tensor(param); }

TensorView UnitPass::gradient(std::size_t first, std::size_t n) const {
  return first == kAbsent ? TensorView{} : gradients->joined(first, n);
}

void NormLayer::forward(const UnitPass& unit, TensorView residual, TensorView stream, TensorView y,
                        TensorView statistics) const {
  unit.execution.ops.residual_norm(unit.execution.compute, spec, residual, stream, unit.value(weight), unit.value(bias),
                                   y, statistics);
}

void NormLayer::backward(const UnitPass& unit, TensorView dy, TensorView x, TensorView statistics, TensorView dx,
                         Accumulate accumulate) const {
  unit.execution.ops.norm_backward(unit.execution.compute, spec, dy, x, unit.value(weight), statistics, dx, accumulate,
                                   unit.gradient(weight), unit.gradient(bias));
}

void LinearLayer::forward(const UnitPass& unit, TensorView x, TensorView y) const {
  for (const LinearRun& run : runs)
    unit.execution.ops.linear(unit.execution.compute, x, unit.values.weight(run.weight, run.parts), bias(unit, run),
                              y.columns(run.first_output, run.outputs), Accumulate::overwrite);
}

void LinearLayer::forward_gelu(const UnitPass& unit, TensorView x, TensorView hidden, TensorView y) const {
  for (const LinearRun& run : runs)
    unit.execution.ops.linear_gelu(unit.execution.compute, x, unit.values.weight(run.weight, run.parts),
                                   bias(unit, run), hidden.columns(run.first_output, run.outputs),
                                   y.columns(run.first_output, run.outputs));
}

void LinearLayer::backward(const UnitPass& unit, TensorView x, TensorView dy, TensorView dx) const {
  Accumulate accumulate = Accumulate::overwrite;
  for (const LinearRun& run : runs) {
    const TensorView dy_run = dy.columns(run.first_output, run.outputs);
    add_gradients(unit, run, x, dy_run);
    unit.execution.ops.linear_backward_input(unit.execution.compute, dy_run, unit.values.weight(run.weight, run.parts),
                                             dx, accumulate);
    accumulate = Accumulate::add;
  }
}

void LinearLayer::backward_gelu(const UnitPass& unit, TensorView x, TensorView dy, TensorView hidden,
                                TensorView dhidden) const {
  FERULA_CHECK(runs.size() == 1, "{} runs would each multiply by the derivative", runs.size());
  add_gradients(unit, runs.front(), x, dy);
  unit.execution.ops.linear_gelu_backward(unit.execution.compute, dy,
                                          unit.values.weight(runs.front().weight, runs.front().parts), hidden, dhidden);
}

void LinearLayer::add_gradients(const UnitPass& unit, const LinearRun& run, TensorView x, TensorView dy) const {
  const GradientTarget dw = unit.gradients->target(run.weight, run.parts);
  const TensorView dbias = unit.gradient(run.bias, run.parts);
  if (dw.sum.empty() && dbias.empty()) return;
  unit.execution.ops.linear_backward_weight(unit.execution.compute, x, dy, dw.sum, dw.accumulate, dbias);
}

std::size_t find_param(const UnitSpec& unit, std::string_view name) {
  for (std::size_t index = 0; index < unit.params.size(); ++index)
    if (unit.params[index].name == name) return index;
  return kAbsent;
}

NormLayer find_norm(const UnitSpec& unit, const NormSpec& spec, std::string_view name) {
  NormLayer norm{spec, find_param(unit, fmt::format("{}.weight", name)),
                 find_param(unit, fmt::format("{}.bias", name))};
  FERULA_CHECK(norm.weight != kAbsent, "{} has no {}", unit.name, name);
  return norm;
}

LinearLayer find_linear(const UnitSpec& unit, const std::vector<std::string>& names) {
  LinearLayer layer;
  std::int64_t first_output = 0;
  for (const std::string& name : names) {
    const std::size_t weight = find_param(unit, name + ".weight");
    const std::size_t bias = find_param(unit, name + ".bias");
    FERULA_CHECK(weight != kAbsent, "{} has no {}", unit.name, name);
    const std::int64_t outputs = unit.params[weight].shape.at(0);
    if (layer.runs.empty() || is_separate(unit, weight) || is_separate(unit, bias)) {
      layer.runs.push_back({weight, bias, 1, first_output, outputs});
    } else {
      ++layer.runs.back().parts;
      layer.runs.back().outputs += outputs;
    }
    first_output += outputs;
  }
  return layer;
}

}  // namespace ferula
