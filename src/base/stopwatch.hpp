// Elapsed time, and where a step's time goes.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <utility>

namespace ferula {

/// Runs from its construction.
class Stopwatch {
 public:
  /// Seconds since the construction or the last `restart`.
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  /// Starts again from zero and returns the seconds until now.
  double restart() {
    const Clock::time_point now = Clock::now();
    return std::chrono::duration<double>(now - std::exchange(start_, now)).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// What a rank may be doing; the rows of "where the time went" and of `seconds` in summary.json.
enum class Phase : std::uint8_t { forward, backward, communication, optimizer, data, checkpoint, validation };
inline constexpr std::size_t kPhases = 7;
std::string_view name_of(Phase phase);

/// Seconds by phase. A phase that starts inside another one takes its time away from the outer one, so that the phases
/// never add up to more than the elapsed time. Belongs to one thread.
class PhaseTimes {
 public:
  double seconds(Phase phase) const { return seconds_[static_cast<std::size_t>(phase)]; }
  /// Sum over all phases.
  double total_seconds() const;

  /// Counts the time of its life to `phase`.
  class Scope {
   public:
    Scope(PhaseTimes& times, Phase phase);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    PhaseTimes* times_;
    Phase phase_;
    Scope* outer_;
    double inner_seconds_ = 0.0;
    Stopwatch watch_;
  };

 private:
  std::array<double, kPhases> seconds_{};
  Scope* innermost_ = nullptr;
};

}  // namespace ferula
