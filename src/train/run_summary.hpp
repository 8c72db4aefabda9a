// summary.json: the account of a run for programs.
#pragma once

#include <string>
#include <vector>

#include "base/log.hpp"
#include "storage/file_system.hpp"
#include "train/run_directory.hpp"
#include "train/run_report.hpp"

namespace ferula {

/// The text of summary.json, as docs/usage.md describes it.
/// What was not measured is null.
std::string summary_json(const RunFacts& facts, const RunOutcome& outcome, const PhaseTimes& phases,
                         const std::vector<RankSummary>& ranks);

/// Writes summary.json as rank `rank`; ranks that fail at once do not disturb each other. A full disk is a warning.
void write_summary(FileSystem& files, const RunDirectory& directory, int rank, const std::string& text, Log& log);
/// summary.json of a run that fails with `failure` while it is caught. Every rank that fails calls it: one rank's error
/// may end the job before another hears of it. What a rank has only heard of does not replace what happened.
void write_failed_summary(FileSystem& files, const RunDirectory& directory, const RunFacts& facts, RunOutcome outcome,
                          Mesh& mesh, Execution& execution, const RankTotals& totals, Log& log);

}  // namespace ferula
