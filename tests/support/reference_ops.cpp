// Plain loss and flat-range operations, and the factory of the reference.
#include "support/reference_ops.hpp"

#include <algorithm>
#include <cmath>

#include "base/philox.hpp"
#include "support/elements.hpp"

namespace ferula::test {
namespace {

/// The scalars of one step by name.
struct StepValues {
  double learning_rate, gradient_scale, correction1, correction2;
  bool first_step;
};

StepValues step_values(const TensorView& scalars) {
  const Elements values(scalars);
  return {values.at(kLearningRate), values.at(kGradientScale), values.at(kCorrection1), values.at(kCorrection2),
          values.at(kFirstStep) == 1.0};
}

double decay_of(const OptimizerRange& range, std::int64_t index) {
  for (const DecaySegment& segment : range.decay)
    if (index >= segment.begin && index < segment.begin + segment.count) return segment.weight_decay;
  return 0.0;
}

/// One element's direction of descent; updates its moments.
double direction(const OptimizerRule& rule, const StepValues& step, const OptimizerRange& range, double gradient,
                 std::int64_t index) {
  const Elements moment1(range.moment1), moment2(range.moment2);
  const double old = moment1.empty() ? 0.0 : moment1.at(index);
  if (rule.kind == OptimizerKind::lion) {
    const double mixed = rule.beta1 * old + (1.0 - rule.beta1) * gradient;
    moment1.set(rule.beta2 * old + (1.0 - rule.beta2) * gradient, index);
    return mixed > 0 ? 1.0 : mixed < 0 ? -1.0 : 0.0;
  }
  if (rule.kind == OptimizerKind::sgd) {
    if (moment1.empty()) return gradient;
    const double momentum = step.first_step ? gradient : rule.momentum * old + gradient;
    moment1.set(momentum, index);
    return rule.nesterov ? gradient + rule.momentum * momentum : momentum;
  }
  const double first = rule.beta1 * old + (1.0 - rule.beta1) * gradient;
  const double second = rule.beta2 * moment2.at(index) + (1.0 - rule.beta2) * gradient * gradient;
  moment1.set(first, index);
  moment2.set(second, index);
  return first / step.correction1 / (std::sqrt(second / step.correction2) + rule.eps);
}

void cross_entropy_row(const Elements& logits, std::int64_t row, std::int64_t target, std::int64_t vocabulary,
                       float scale, const Elements& losses, const Elements& dlogits) {
  double largest = logits.at(row, 0);
  for (std::int64_t column = 1; column < vocabulary; ++column) largest = std::max(largest, logits.at(row, column));
  double sum = 0;
  for (std::int64_t column = 0; column < vocabulary; ++column) sum += std::exp(logits.at(row, column) - largest);
  const double logsumexp = largest + std::log(sum);
  losses.set(target < 0 ? 0.0 : logsumexp - logits.at(row, target), row);
  for (std::int64_t column = 0; !dlogits.empty() && column < logits.dim(1); ++column) {
    const bool counts = target >= 0 && column < vocabulary;
    const double probability = counts ? std::exp(logits.at(row, column) - logsumexp) : 0.0;
    dlogits.set(counts ? scale * (probability - (column == target ? 1.0 : 0.0)) : 0.0, row, column);
  }
}

}  // namespace

void ReferenceOps::cross_entropy(Stream& stream, TensorView logits, TensorView target, std::int64_t vocabulary,
                                 float scale, TensorView losses, TensorView dlogits) {
  stream.run([=] {
    const Elements scores(logits), targets(target), loss(losses), gradient(dlogits);
    for (std::int64_t row = 0; row < scores.dim(0); ++row)
      cross_entropy_row(scores, row, targets.integer(row), vocabulary, scale, loss, gradient);
  });
}

void ReferenceOps::sum_of_squares(Stream& stream, TensorView x, TensorView total) {
  stream.run([=] {
    const Elements values(x);
    double sum = 0;
    for (std::int64_t index = 0; index < values.count(); ++index) sum += values.flat_at(index) * values.flat_at(index);
    Elements(total).add(sum, 0);
  });
}

void ReferenceOps::optimizer_update(Stream& stream, const OptimizerRule& rule, TensorView scalars,
                                    const OptimizerRange& range) {
  stream.run([=] {
    const StepValues step = step_values(scalars);
    const Elements gradients(range.gradient), master(range.master), copy(range.value);
    for (std::int64_t index = 0; index < gradients.count(); ++index) {
      const double decay = decay_of(range, index);
      double value = master.at(index), gradient = gradients.at(index) * step.gradient_scale;
      if (rule.decoupled_decay)
        value -= step.learning_rate * decay * value;
      else
        gradient += decay * value;
      value -= step.learning_rate * direction(rule, step, range, gradient, index);
      master.set(value, index);
      if (!copy.empty()) copy.set(master.at(index), index);
    }
  });
}

void ReferenceOps::fill_normal(Stream& stream, TensorView x, std::uint64_t key, std::int64_t first, float std) {
  stream.run([=] {
    const Elements values(x);
    for (std::int64_t index = 0; index < values.count(); ++index)
      values.flat_set(std * normal(key, static_cast<std::uint64_t>(first + index)), index);
  });
}

std::unique_ptr<Ops> make_reference_ops() { return std::make_unique<ReferenceOps>(); }

}  // namespace ferula::test
