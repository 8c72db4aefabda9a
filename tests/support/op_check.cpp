#include "support/op_check.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/philox.hpp"
#include "support/elements.hpp"
#include "support/reference_ops.hpp"

namespace ferula::test {
namespace {

constexpr int kTrials = 3;  // random perturbations: one alone may cancel by chance

double epsilon_of(DType dtype) { return dtype == DType::bf16 ? 0x1p-8 : dtype == DType::f32 ? 0x1p-23 : 0x1p-52; }

bool floating(DType dtype) { return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16; }

bool compared(const TensorSpec& spec) { return spec.role == Role::output || spec.role == Role::inout; }

/// Moves every inexact input by a relative error of about `size`, never by zero.
void perturb(const TensorSet& set, double size, int trial) {
  for (const TensorSpec& spec : set.specs()) {
    if (spec.exact || !floating(spec.dtype) || spec.role == Role::output || spec.role == Role::saved) continue;
    const Elements elements(set[spec.name]);
    const std::uint64_t key = random_key(static_cast<std::uint64_t>(trial), "perturb " + spec.name);
    for (std::int64_t index = 0; index < elements.count(); ++index) {
      const std::uint32_t bits = philox(key, 0, static_cast<std::uint64_t>(index))[0];
      const double amount = (0.5 + uniform(bits)) * ((bits & 1u) != 0 ? 1.0 : -1.0);
      elements.flat_set(elements.flat_at(index) * (1.0 + size * amount), index);
    }
  }
}

/// The largest difference between two tensors.
double distance(const TensorView& a, const TensorView& b) {
  double largest = 0;
  for (std::int64_t index = 0; index < a.count(); ++index)
    largest = std::max(largest, std::abs(Elements(a).flat_at(index) - Elements(b).flat_at(index)));
  return largest;
}

/// By how much each compared tensor may move: see compare_with_reference.
std::map<std::string, double> sensitivities(const OpCase& op_case, const TensorSet& start, const TensorSet& exact,
                                            Device& device, Stream& stream) {
  ReferenceOps reference;
  std::map<std::string, double> result;
  for (int trial = 0; trial < kTrials; ++trial) {
    TensorSet moved(device, op_case.tensors, Precision::f64);
    moved.copy_from(start);
    perturb(moved, op_case.rounding, trial);
    op_case.call(reference, stream, moved);
    for (const TensorSpec& spec : op_case.tensors) {
      if (!compared(spec)) continue;
      double& largest = result[spec.name];
      largest = std::max(largest, distance(moved[spec.name], exact[spec.name]));
    }
  }
  return result;
}

std::string compare_tensor(const std::string& name, const TensorView& found, const TensorView& expected,
                           double allowance) {
  const Elements values(found), exact(expected);
  for (std::int64_t index = 0; index < values.count(); ++index) {
    const double value = values.flat_at(index), truth = exact.flat_at(index);
    const double tolerance = allowance + epsilon_of(found.dtype) * std::abs(truth) + 1e-37;
    if (!(std::abs(value - truth) <= tolerance))
      return fmt::format("{}[{}] is {:.9g}, expected {:.9g} within {:.3g}", name, index, value, truth, tolerance);
  }
  return {};
}

/// Σ output · upstream of the forward pass after `inputs` have moved by step · direction.
double objective(const OpCase& op_case, const TensorSet& start, double step, std::uint64_t seed, Device& device,
                 Stream& stream) {
  const Derivative& derivative = *op_case.derivative;
  ReferenceOps reference;
  TensorSet set(device, op_case.tensors, Precision::f64);
  set.copy_from(start);
  for (const Derivative::Gradient& each : derivative.gradients) {
    const Elements input(set[each.input]);
    const std::uint64_t key = random_key(seed, "direction " + each.input);
    for (std::int64_t index = 0; index < input.count(); ++index)
      input.flat_set(input.flat_at(index) + step * normal(key, static_cast<std::uint64_t>(index)), index);
  }
  derivative.forward(reference, stream, set);
  const Elements output(set[derivative.output]), upstream(start[derivative.upstream]);
  double sum = 0;
  for (std::int64_t index = 0; index < output.count(); ++index) sum += output.flat_at(index) * upstream.flat_at(index);
  return sum;
}

/// Gradient · direction for one tensor, and in `scale` the sum of the absolute terms.
double slope_along(const Derivative::Gradient& each, const TensorSet& before, const TensorSet& after,
                   std::uint64_t seed, double& scale) {
  const Elements gradient(after[each.gradient]), old(before[each.gradient]);
  const std::uint64_t key = random_key(seed, "direction " + each.input);
  double sum = 0;
  for (std::int64_t index = 0; index < gradient.count(); ++index) {
    const double base = each.accumulate == Accumulate::add ? old.flat_at(index) : 0.0;
    const double term = (gradient.flat_at(index) - base) * normal(key, static_cast<std::uint64_t>(index));
    sum += term;
    scale += std::abs(term);
  }
  return sum;
}

}  // namespace

void run_on(const OpCase& op_case, Ops& ops, Device& device, TensorSet& set) {
  const auto stream = device.make_stream();
  const TensorSet there(device, *stream, set);
  op_case.call(ops, *stream, there);
  stream->synchronize();
  set.take_back(device, *stream, there);
}

std::string compare_with_reference(const OpCase& op_case, Ops& ops, Device& device) {
  return compare_with_reference(op_case, ops, device, device);
}

std::string compare_with_reference(const OpCase& op_case, Ops& ops, Device& device, Device& host) {
  const auto stream = host.make_stream();
  ReferenceOps reference;
  TensorSet found(host, op_case.tensors, Precision::declared);
  if (op_case.prepare) op_case.prepare(reference, *stream, found);
  TensorSet start(host, op_case.tensors, Precision::f64);
  start.copy_from(found);
  TensorSet exact(host, op_case.tensors, Precision::f64);
  exact.copy_from(found);

  if (&device == &host)
    op_case.call(ops, *stream, found);
  else
    run_on(op_case, ops, device, found);
  op_case.call(reference, *stream, exact);

  const auto allowed = sensitivities(op_case, start, exact, host, *stream);
  if (!found.gaps_untouched()) return "memory between the rows of a strided view was written";
  for (const TensorSpec& spec : op_case.tensors) {
    const auto allowance = allowed.find(spec.name);
    const double tolerance = allowance == allowed.end() ? 0.0 : allowance->second;  // inputs must stay as they are
    if (spec.role == Role::saved) continue;
    const std::string wrong = compare_tensor(spec.name, found[spec.name], exact[spec.name], tolerance);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string compare_with_differences(const OpCase& op_case, Device& device) {
  constexpr double kStep = 1e-5;
  constexpr double kTolerance = 1e-6;
  const auto stream = device.make_stream();
  ReferenceOps reference;
  TensorSet start(device, op_case.tensors, Precision::f64);
  if (op_case.prepare) op_case.prepare(reference, *stream, start);
  TensorSet after(device, op_case.tensors, Precision::f64);
  after.copy_from(start);
  op_case.call(reference, *stream, after);
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    double scale = 0, slope = 0;
    for (const Derivative::Gradient& each : op_case.derivative->gradients)
      slope += slope_along(each, start, after, seed, scale);
    const double ahead = objective(op_case, start, kStep, seed, device, *stream);
    const double behind = objective(op_case, start, -kStep, seed, device, *stream);
    const double difference = (ahead - behind) / (2 * kStep);
    if (!(std::abs(difference - slope) <= kTolerance * (scale + std::abs(ahead))))
      return fmt::format("slope {:.12g}, finite difference {:.12g}, terms of {:.3g}", slope, difference, scale);
  }
  return {};
}

std::string changed_between_runs(const OpCase& op_case, Ops& ops, Device& device, Device& host, int runs,
                                 const std::function<void(int)>& before) {
  const auto reference = make_reference_ops();
  const auto stream = host.make_stream();
  TensorSet prepared(host, op_case.tensors, Precision::declared);
  if (op_case.prepare) op_case.prepare(*reference, *stream, prepared);
  std::vector<std::unique_ptr<TensorSet>> results;
  std::string changed;
  for (int run = 0; run < runs; ++run) {
    TensorSet& result = *results.emplace_back(std::make_unique<TensorSet>(host, op_case.tensors, Precision::declared));
    result.copy_from(prepared);
    before(run);
    run_on(op_case, ops, device, result);
    for (const TensorSpec& spec : op_case.tensors)
      if (!std::ranges::equal(results.front()->bytes_of_tensor(spec.name), result.bytes_of_tensor(spec.name)))
        changed += fmt::format("{} of run {}; ", spec.name, run);
  }
  return changed;
}

}  // namespace ferula::test
