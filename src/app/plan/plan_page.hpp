// A plan as people and programs read it.
#pragma once

#include <string>

#include "app/plan/plan.hpp"

namespace ferula {

/// Configuration, layouts, cards, verdicts and times, with the source of every number that is not counted.
std::string plan_page(const Plan& plan);
std::string plan_json(const Plan& plan);

/// Whether the memory that is planned for is known and too small: that of this host, or of the job's cards or nodes.
bool does_not_fit(const Plan& plan);

/// "Training: needs 4 x RTX A5000 with ZeRO 2 (19.8 GiB of 24.0 GiB); 1 GPU is not enough (118 GiB)".
std::string training_verdict(const Plan& plan, const PlannedCard& card);

}  // namespace ferula
