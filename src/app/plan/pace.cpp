#include "app/plan/pace.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/human.hpp"

namespace ferula {
namespace {

/// Of a tensor that is exchanged, the part that crosses the link of each rank.
double crossing_share(int ranks) { return 1.0 - 1.0 / ranks; }

std::string run_in_words(const MeasuredRun& run) {
  return fmt::format("measured by {} ({} parameters, {} rank{} at stage {}, {})", run.run,
                     human_count(static_cast<double>(run.parameters)), run.ranks, run.ranks == 1 ? "" : "s", run.stage,
                     run.processor);
}

/// The rate of the run that resembles the plan most; what sending costs from one that sent. False where there is none.
bool take_rates(Pace& pace, const std::vector<MeasuredRun>& history, const RunLikeness& wanted) {
  const MeasuredRun* run = nearest_run(history, wanted);
  if (run == nullptr) return false;
  pace.measured = *run;
  pace.flops_per_second = run->flops_per_second;
  std::vector<MeasuredRun> senders = history;
  std::erase_if(senders, [](const MeasuredRun& each) { return !each.seconds_per_byte; });
  if (const MeasuredRun* sender = nearest_run(senders, wanted)) {
    pace.seconds_per_byte = *sender->seconds_per_byte / crossing_share(sender->ranks);
    pace.sending = fmt::format("what {} could not hide", sender->run);
  }
  return true;
}

}  // namespace

double Pace::rank_flops_per_second(int ranks) const {
  if (threads_on_node == 0) return flops_per_second;
  return flops_per_second * threads_on_node / std::min(ranks, ranks_on_node);
}

Pace card_pace(const GpuCardType& card, const std::vector<MeasuredRun>& history, const RunLikeness& wanted) {
  Pace pace;
  if (card.link_gigabytes > 0.0) {
    pace.seconds_per_byte = 1e-9 / card.link_gigabytes;
    pace.sending = fmt::format("an assumption: {:g} GB/s between its cards, and nothing hides it", card.link_gigabytes);
    pace.sending_rate = fmt::format("{:g} GB/s", card.link_gigabytes);
  }
  const double peak = 1e12 * card.bf16_teraflops;
  const auto share_of_peak = [&] { return fmt::format("{:.0f} % of its peak", 100.0 * pace.flops_per_second / peak); };
  if (!card.word.empty() && take_rates(pace, history, wanted)) {
    pace.computing = fmt::format("{}, {}", share_of_peak(), run_in_words(*pace.measured));
  } else if (peak > 0.0 && wanted.dtype == "bf16") {
    pace.flops_per_second = kAssumedPeakShare * peak;
    pace.computing = fmt::format("an assumption: {}; no run on it has been measured here", share_of_peak());
  } else {
    pace.computing = fmt::format("unknown: no run on it has been measured here in {}", wanted.dtype);
  }
  if (pace.flops_per_second > 0.0) pace.computing_rate = share_of_peak();
  return pace;
}

Pace host_pace(int threads, int ranks_on_node, const std::vector<MeasuredRun>& history, const RunLikeness& wanted) {
  Pace pace{.threads_on_node = threads, .ranks_on_node = ranks_on_node, .computing = {}, .sending = {}};
  if (!take_rates(pace, history, wanted)) {
    pace.computing = fmt::format(
        "unknown: no run on these processors has been measured here in {}; five steps of "
        "`ferula train` tell",
        wanted.dtype);
    return pace;
  }
  const std::optional<double>& peak = pace.measured->peak_share;
  const std::string share = peak ? fmt::format(", {:.0f} % of the probed peak", 100.0 * *peak) : "";
  pace.computing =
      fmt::format("{:.3g} GFLOP/s a thread{}, {}", pace.flops_per_second / 1e9, share, run_in_words(*pace.measured));
  return pace;
}

std::optional<StepTime> step_time(const PlannedLayout& layout, double flops_per_sample, const Pace& pace) {
  const double rate = pace.rank_flops_per_second(layout.ranks);
  if (rate <= 0.0) return std::nullopt;
  const auto samples_of_rank = static_cast<double>(layout.micro_batch * layout.accumulation);
  const double crossing = crossing_share(layout.ranks) * static_cast<double>(layout.moved_bytes());
  return StepTime{.computing_s = samples_of_rank * flops_per_sample / rate,
                  .sending_s = crossing * pace.seconds_per_byte.value_or(0.0)};
}

std::string time_in_words(double seconds) {
  struct Unit {
    double seconds;
    const char* name;
  };
  constexpr std::array<Unit, 3> kUnits{{{86400.0, "days"}, {3600.0, "hours"}, {60.0, "minutes"}}};
  for (const Unit& unit : kUnits)
    if (seconds >= 2.0 * unit.seconds) return fmt::format("{:.1f} {}", seconds / unit.seconds, unit.name);
  if (seconds < 0.0995) return fmt::format("{:.2g} ms", 1e3 * seconds);
  if (seconds < 1.0) return fmt::format("{:.2g} seconds", seconds);
  return fmt::format("{:.{}f} seconds", seconds, seconds < 9.95 ? 1 : 0);
}

std::string time_in_cell(double seconds) {
  return seconds < 0.0995 ? fmt::format("{:.3g} ms", 1e3 * seconds) : fmt::format("{:.3g} s", seconds);
}

}  // namespace ferula
