// summary.json: the account of a run for programs.
#pragma once

#include <string>
#include <vector>

#include "train/run_report.hpp"

namespace ferula {

/// The text of summary.json, as docs/usage.md describes it.
std::string summary_json(const RunFacts& facts, const RunOutcome& outcome, const PhaseTimes& phases,
                         const std::vector<RankSummary>& ranks);

}  // namespace ferula
