#include "base/stopwatch.hpp"

#include <numeric>

namespace ferula {

std::string_view name_of(Phase phase) {
  constexpr std::array<std::string_view, kPhases> kNames{"forward", "backward",   "communication", "optimizer",
                                                         "data",    "checkpoint", "validation"};
  return kNames[static_cast<std::size_t>(phase)];
}

double PhaseTimes::total_seconds() const { return std::accumulate(seconds_.begin(), seconds_.end(), 0.0); }

PhaseTimes::Scope::Scope(PhaseTimes& times, Phase phase) : times_(&times), phase_(phase), outer_(times.innermost_) {
  times.innermost_ = this;
}

PhaseTimes::Scope::~Scope() {
  const double elapsed = watch_.seconds();
  times_->seconds_[static_cast<std::size_t>(phase_)] += elapsed - inner_seconds_;
  if (outer_ != nullptr) outer_->inner_seconds_ += elapsed;
  times_->innermost_ = outer_;
}

}  // namespace ferula
