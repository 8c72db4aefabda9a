#include "train/trainer.hpp"

#include <algorithm>
#include <cmath>

namespace ferula {

double clip_scale(double norm, double clip) { return clip > 0.0 ? std::min(1.0, clip / (norm + 1e-6)) : 1.0; }

Trainer::Trainer(const Parts& parts, double gradient_clipping)
    : parts_(parts),
      gradient_clipping_(gradient_clipping),
      runner_(parts.transformer, parts.store, parts.mesh.pipeline(), parts.execution),
      schedule_(training_schedule(parts.mesh.pipeline().rank(), parts.mesh.pipeline().size(),
                                  parts.loader.shape().accumulation)) {}

StepResult Trainer::step() {
  const Stopwatch watch;
  const StepPlace place{.step = progress_.step + 1, .samples_seen = progress_.samples_seen};
  const std::int64_t targets = parts_.loader.targets_per_step();
  StepResult result{.step = place.step, .learning_rate = parts_.learning_rate.at(place.step), .tokens = targets};
  const double loss_sum =
      runner_.run(schedule_, {.batch = [&](std::int64_t micro) { return parts_.loader.training(place, micro); },
                              .update = [&] { result.gradient_norm = update(); },
                              .loss_scale = static_cast<float>(1.0 / static_cast<double>(targets))});
  result.loss = sum_over_ranks(loss_sum) / static_cast<double>(targets);
  ++progress_.step;
  progress_.micro_steps += parts_.loader.shape().accumulation;
  progress_.samples_seen += parts_.loader.shape().samples_per_step();
  progress_.tokens_seen += targets;
  result.seconds = watch.seconds();
  return result;
}

double Trainer::update() {
  const std::int64_t step = progress_.step + 1;
  const double norm = parts_.store.gradient_norm();
  if (!std::isfinite(norm)) {
    throw Error(fmt::format(
        "step {}: expected a finite gradient norm, found {}; the values were not updated. Go on from an "
        "earlier checkpoint, if there is one, with a smaller optimizer.params.lr, a longer warm-up or another seed",
        step, norm));
  }
  parts_.store.update({.learning_rate = parts_.learning_rate.at(step),
                       .gradient_scale = clip_scale(norm, gradient_clipping_),
                       .step = step});
  return norm;
}

std::optional<double> Trainer::validation_loss() {
  const PhaseTimes::Scope timed(parts_.execution.phases, Phase::validation);
  const std::int64_t batches = parts_.loader.evaluation_batches(Split::validation);
  double loss_sum = 0.0, targets = 0.0;
  for (std::int64_t index = 0; index < batches; ++index) {
    const TokenBatch& batch = parts_.loader.evaluation(Split::validation, index);
    loss_sum += parts_.transformer.evaluate(batch);
    targets += static_cast<double>(batch.targets);
  }
  const double all_targets = sum_over_ranks(targets);
  const double all_losses = sum_over_ranks(loss_sum);
  return all_targets > 0.0 ? std::optional(all_losses / all_targets) : std::nullopt;
}

double Trainer::sum_over_ranks(double value) {
  const PhaseTimes::Scope exposed(parts_.execution.phases, Phase::communication);
  Stream& stream = parts_.execution.communication;
  return agree_sum(parts_.mesh.pipeline(), stream, agree_sum(parts_.mesh.data(), stream, value));
}

}  // namespace ferula
