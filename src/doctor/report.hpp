// From what each rank has found to what a user reads: one answer a check, with the hosts that differ.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "doctor/check.hpp"

namespace ferula {

/// What one rank has found of the check at `index` of the list that was asked.
struct Answer {
  std::size_t index = 0;
  Finding finding;
};

/// Asks the checks that are this rank's: those of the host on its first rank, those of a rank on all.
std::vector<Answer> examine(std::span<const Check> checks, const SystemFacts& facts);

/// The answers of a rank.
struct RankAnswers {
  int rank = 0;
  std::string host;
  std::vector<Answer> answers;
};

struct RankFinding {
  int rank = 0;
  std::string host;
  Finding finding;
};

/// One check over all ranks. `verdict` is the worst; at least a warning where hosts differ that must not.
struct CheckResult {
  Check check;
  Verdict verdict = Verdict::skipped;
  bool differs = false;
  std::vector<RankFinding> findings;  // by rank
};

std::vector<CheckResult> judged_together(std::span<const Check> checks, std::span<const RankAnswers> ranks);

/// How many of the results have this verdict.
std::int64_t count_of(std::span<const CheckResult> results, Verdict verdict);
Verdict worst_of(std::span<const CheckResult> results);

/// Group by group a line a check; under what is not well who found it, what was expected and what to do.
std::string report_text(std::span<const CheckResult> all);

/// docs/doctor.md: every check with what it reads, expects and advises.
std::string checks_markdown();

}  // namespace ferula
