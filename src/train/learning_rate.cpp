#include "train/learning_rate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/error.hpp"

namespace ferula {

const LearningRate::Kind* LearningRate::find_kind(const std::string& name) {
  static constexpr std::array<std::pair<std::string_view, Kind>, 6> kKinds{{{"WarmupLR", Kind::warmup},
                                                                            {"WarmupDecayLR", Kind::warmup_decay},
                                                                            {"WarmupCosineLR", Kind::warmup_cosine},
                                                                            {"constant", Kind::constant},
                                                                            {"linear", Kind::linear},
                                                                            {"cosine", Kind::cosine}}};
  const auto found = std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& entry) { return entry.first == name; });
  return found == kKinds.end() ? nullptr : &found->second;
}

std::vector<std::string> LearningRate::problems(const SchedulerConfig& scheduler) const {
  std::vector<std::string> found;
  const SchedulerParams& params = scheduler.params;
  if (find_kind(scheduler.type) == nullptr) {
    found.push_back(
        fmt::format("scheduler.type must be WarmupLR, WarmupDecayLR, WarmupCosineLR, constant, linear or "
                    "cosine, got \"{}\"",
                    scheduler.type));
  }
  if (params.warmup_type != "log" && params.warmup_type != "linear") {
    found.push_back(fmt::format("scheduler.params.warmup_type must be log or linear, got \"{}\"", params.warmup_type));
  }
  if (params.warmup_num_steps <= 0) {
    found.push_back(fmt::format("warmup_num_steps must be a positive integer, got {}", params.warmup_num_steps));
  }
  const bool needs_total = kind_ != Kind::warmup && kind_ != Kind::constant;
  if (needs_total && params.total_num_steps.is_auto()) {
    found.push_back(fmt::format("scheduler.params.total_num_steps must be given for {}", scheduler.type));
  }
  if (needs_total && !params.total_num_steps.is_auto() && params.total_num_steps.get() <= 0) {
    found.push_back(fmt::format("total_num_steps must be a positive integer, got {}", params.total_num_steps.get()));
  }
  return found;
}

LearningRate::LearningRate(const SchedulerConfig& scheduler, const OptimizerConfig& optimizer) {
  const SchedulerParams& params = scheduler.params;
  if (const Kind* kind = find_kind(scheduler.type)) kind_ = *kind;
  if (const auto found = problems(scheduler); !found.empty()) {
    throw ConfigError(fmt::format("the schedule of the learning rate cannot be used: {}", fmt::join(found, "; ")));
  }
  const bool deepspeed = kind_ == Kind::warmup || kind_ == Kind::warmup_decay || kind_ == Kind::warmup_cosine;
  warm_up_ = params.warmup_type == "log" ? WarmUp::log : WarmUp::linear;
  lr_ = optimizer.params.lr;
  min_lr_ = params.warmup_min_lr;
  max_lr_ = params.warmup_max_lr.value.value_or(kind_ == Kind::warmup_decay ? 0.001 : lr_);
  warmup_min_ratio_ = params.warmup_min_ratio;
  final_ratio_ = params.cos_min_ratio;
  warmup_steps_ = deepspeed ? std::max<std::int64_t>(2, params.warmup_num_steps) : params.warmup_num_steps;
  total_steps_ = params.total_num_steps.value.value_or(0);
  const bool decays = kind_ != Kind::warmup && kind_ != Kind::constant;
  if (decays && total_steps_ < warmup_steps_) {
    warnings_.push_back(
        fmt::format("total_num_steps {} is less than warmup_num_steps {}", total_steps_, warmup_steps_));
  }
}

double LearningRate::warm_up(std::int64_t iteration) const {
  const auto steps = static_cast<double>(warmup_steps_);
  if (warm_up_ == WarmUp::linear) return static_cast<double>(iteration) / steps;
  return (1.0 / std::log(steps)) * std::log(static_cast<double>(iteration + 1));
}

double LearningRate::warmup_gamma(std::int64_t iteration) const {
  if (iteration < 0) return 0.0;
  if (iteration < warmup_steps_) return warm_up(iteration);
  if (kind_ == Kind::warmup) return 1.0;
  const auto left = static_cast<double>(total_steps_ - iteration);
  return std::max(0.0, left / std::max(1.0, static_cast<double>(total_steps_ - warmup_steps_)));
}

double LearningRate::warmup_cosine_ratio(std::int64_t iteration) const {
  if (iteration < 0) return 0.0;
  if (iteration < warmup_steps_) return warmup_min_ratio_ + warm_up(iteration) * (1.0 - warmup_min_ratio_);
  const auto done = static_cast<double>(iteration - warmup_steps_ + 1);
  const double progress = std::min(1.0, done / std::max(1.0, static_cast<double>(total_steps_ - warmup_steps_)));
  const double falling = (1.0 + std::cos(std::numbers::pi * progress)) / 2.0;
  return std::max(0.0, final_ratio_ + (1.0 - final_ratio_) * falling);
}

double LearningRate::decay_ratio(std::int64_t step) const {
  if (step <= warmup_steps_) return static_cast<double>(step) / static_cast<double>(warmup_steps_);
  const auto done = static_cast<double>(step - 1 - warmup_steps_);
  const double progress = std::min(1.0, done / std::max(1.0, static_cast<double>(total_steps_ - warmup_steps_)));
  const double falling = kind_ == Kind::linear ? 1.0 - progress : 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return final_ratio_ + (1.0 - final_ratio_) * falling;
}

double LearningRate::at(std::int64_t step) const {
  FERULA_CHECK(step >= 1, "steps count from 1, got {}", step);
  switch (kind_) {
    case Kind::constant:
      return lr_;
    case Kind::linear:
    case Kind::cosine:
      return lr_ * decay_ratio(step);
    case Kind::warmup_cosine:
      return lr_ * warmup_cosine_ratio(step - 2);
    case Kind::warmup:
    case Kind::warmup_decay:
      break;
  }
  return min_lr_ + (max_lr_ - min_lr_) * warmup_gamma(step - 2);
}

}  // namespace ferula
