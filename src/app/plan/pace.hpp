// How long a step takes on a kind of machine: from what runs have measured there, else from a stated assumption.
#pragma once

#include <optional>
#include <string>

#include "app/plan/fit_plan.hpp"
#include "app/plan/gpu_cards.hpp"
#include "app/plan/run_history.hpp"

namespace ferula {

/// What of a card's peak a step is assumed to reach where nothing was measured.
inline constexpr double kAssumedPeakShare = 0.4;

/// How fast ranks compute and send, and how that is known.
struct Pace {
  double flops_per_second = 0.0;             // of one GPU, or of one thread of a host; 0: unknown
  int threads_on_node = 0;                   // that the ranks of a node share; 0: each rank has a GPU
  int ranks_on_node = 1;                     // at most
  std::optional<double> seconds_per_byte{};  // that crosses a rank's link; absent: unknown
  std::string computing_rate;                // "40 % of its peak"; empty: unknown
  std::string sending_rate;                  // "32 GB/s", where it is assumed
  std::string computing;                     // how the rate is known, in words
  std::string sending;                       // how that of the link is
  std::optional<MeasuredRun> measured{};     // what the rate is from; absent: an assumption, or unknown

  double rank_flops_per_second(int ranks) const;
};

/// Of ranks that have such a card each.
Pace card_pace(const GpuCardType& card, const std::vector<MeasuredRun>& history, const RunLikeness& wanted);
/// Of ranks that share `threads` of a node, or (0) have a GPU each, where runs have measured it. `wanted.processor`
/// empty: of any host.
Pace host_pace(int threads, int ranks_on_node, const std::vector<MeasuredRun>& history, const RunLikeness& wanted);

struct StepTime {
  double computing_s = 0.0;
  double sending_s = 0.0;  // 0 where nothing is known of the link
  double total() const { return computing_s + sending_s; }
};

/// Empty where the rate is unknown. `flops_per_sample`: forward and backward pass of one sample.
std::optional<StepTime> step_time(const PlannedLayout& layout, double flops_per_sample, const Pace& pace);

/// "3.1 ms", "78 seconds", "12 minutes", "5.2 hours", "3.4 days".
std::string time_in_words(double seconds);
/// The same with three digits, for a table: "3.14 ms", "2.81 s".
std::string time_in_cell(double seconds);

}  // namespace ferula
