// The learning rate of every optimizer step: DeepSpeed's warm-up schedules, and constant, linear and cosine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/run_config.hpp"

namespace ferula {

/// A pure function of the optimizer step. DeepSpeed steps its scheduler after each optimizer step and starts it at
/// iteration −1, so optimizer step k (from 1) uses the rate of DeepSpeed's iteration k − 2, and the first step uses
/// the rate that DeepSpeed sets before it has started: `warmup_min_lr`, and 0 for WarmupCosineLR.
///
/// Formulas at iteration i, with n = max(2, warmup_num_steps), T = total_num_steps (DeepSpeed 0.19, lr_schedules.py):
///   w(i)            log: ln(i + 1) / ln(n), linear: i / n
///   WarmupLR        min + (max − min) · γ, where γ = w(i) for i < n, else 1
///   WarmupDecayLR   the same, but afterwards γ = max(0, (T − i) / max(1, T − n))
///   WarmupCosineLR  lr · (r + (1 − r) · w(i)) for i < n, r = warmup_min_ratio; afterwards
///                   lr · max(0, c + (1 − c)(1 + cos πp) / 2), p = min(1, (i − n + 1) / max(1, T − n)), c =
///                   cos_min_ratio
/// `constant` is lr in every step. `linear` and `cosine` follow llm.c with step k from 1, n = warmup_num_steps:
/// lr · k / n for k ≤ n, then from lr at step n + 1 towards lr · cos_min_ratio after step T along a line or half a
/// cosine.
class LearningRate {
 public:
  /// Throws ConfigError with every unusable value at once. "auto" for `warmup_max_lr` means the optimizer's rate
  /// (0.001 for WarmupDecayLR, as in DeepSpeed); `total_num_steps` must be resolved where a schedule needs it.
  LearningRate(const SchedulerConfig& scheduler, const OptimizerConfig& optimizer);

  /// The rate of optimizer step `step`, counted from 1.
  double at(std::int64_t step) const;
  /// What is legal but probably not meant, such as a warm-up longer than the run; for the header of the run.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  enum class Kind : std::uint8_t { warmup, warmup_decay, warmup_cosine, constant, linear, cosine };
  enum class WarmUp : std::uint8_t { log, linear };

  static const Kind* find_kind(const std::string& name);
  std::vector<std::string> problems(const SchedulerConfig& scheduler) const;
  double warm_up(std::int64_t iteration) const;
  double warmup_gamma(std::int64_t iteration) const;
  double warmup_cosine_ratio(std::int64_t iteration) const;
  double decay_ratio(std::int64_t step) const;

  Kind kind_ = Kind::constant;
  WarmUp warm_up_ = WarmUp::log;
  double lr_ = 0.0;
  double min_lr_ = 0.0;
  double max_lr_ = 0.0;
  double warmup_min_ratio_ = 0.0;
  double final_ratio_ = 0.0;
  std::int64_t warmup_steps_ = 0;
  std::int64_t total_steps_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace ferula
