#include "doctor/report.hpp"

#include <algorithm>
#include <map>

#include "base/error.hpp"

namespace ferula {
namespace {

constexpr std::size_t kMostNames = 8;  // of hosts or ranks in one line
constexpr std::size_t kIndent = 11;

std::string names_text(const std::vector<std::string>& names) {
  const std::size_t shown = std::min(names.size(), kMostNames);
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

/// "gpu03, gpu05" for a check of hosts, "rank 3 (gpu03)" for one of ranks.
std::string who(const CheckResult& result, const std::string& found) {
  std::vector<std::string> names;
  for (const RankFinding& each : result.findings)
    if (each.finding.found == found)
      names.push_back(result.check.scope == CheckScope::host ? each.host
                                                             : fmt::format("rank {} ({})", each.rank, each.host));
  return names_text(names);
}

bool is_well(const CheckResult& result) { return result.verdict <= Verdict::ok; }

/// What was found, each wording once, the worst first; the healthy ones only where the others must be like them.
std::vector<Finding> worth_telling(const CheckResult& result) {
  std::vector<Finding> told;
  for (const RankFinding& each : result.findings) {
    const bool is_told = result.differs || each.finding.verdict > Verdict::ok;
    const bool is_new =
        std::none_of(told.begin(), told.end(), [&](const Finding& other) { return other.found == each.finding.found; });
    if (is_told && is_new) told.push_back(each.finding);
  }
  std::stable_sort(told.begin(), told.end(), [](const Finding& a, const Finding& b) { return a.verdict > b.verdict; });
  return told;
}

std::string line_of(const CheckResult& result, std::size_t width) {
  const Check& check = result.check;
  if (is_well(result)) {
    const std::string found = result.findings.empty() ? "" : result.findings.front().finding.found;
    return fmt::format("  {:<9}{:<{}}  {}\n", name_of(result.verdict), check.name, width, found);
  }
  std::string text = fmt::format("  {:<9}{:<{}}", name_of(result.verdict), check.name, width);
  const std::vector<Finding> told = worth_telling(result);
  const bool is_everywhere =
      told.size() == 1 && std::all_of(result.findings.begin(), result.findings.end(),
                                      [&](const auto& each) { return each.finding.found == told.front().found; });
  if (is_everywhere) {
    text += fmt::format("  {}\n", told.front().found);
  } else {
    text += result.differs ? "  hosts differ\n" : "\n";
    for (const Finding& finding : told)
      text += fmt::format("{:<{}}{}: {}\n", "", kIndent, who(result, finding.found), finding.found);
  }
  return text +
         fmt::format("{:<{}}expected: {}\n{:<{}}do: {}\n", "", kIndent, check.expected, "", kIndent, check.remedy);
}

/// The lines of a group; what is not here comes last, as many checks for one reason in one line.
std::string group_text(std::span<const CheckResult> results, std::size_t width) {
  std::string text;
  std::map<std::string, std::vector<std::string>> left_out;  // names by reason
  for (const CheckResult& result : results) {
    if (result.verdict == Verdict::skipped && !result.findings.empty())
      left_out[result.findings.front().finding.found].emplace_back(result.check.name);
    else
      text += line_of(result, width);
  }
  for (const auto& [reason, names] : left_out)
    text += fmt::format("  {:<9}{:<{}}  {}\n", "skipped",
                        names.size() == 1 ? names.front() : fmt::format("{} checks", names.size()), width, reason);
  return text;
}

/// A bar would end the cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string escaped;
  for (const char c : text) escaped += c == '|' ? std::string("\\|") : std::string(1, c);
  return escaped;
}

}  // namespace

std::vector<Answer> examine(std::span<const Check> checks, const SystemFacts& facts) {
  std::vector<Answer> answers;
  for (std::size_t index = 0; index < checks.size(); ++index)
    if (checks[index].scope == CheckScope::rank || facts.job().rank_on_node == 0)
      answers.push_back({index, checks[index].judge(facts)});
  return answers;
}

std::vector<CheckResult> judged_together(std::span<const Check> checks, std::span<const RankAnswers> ranks) {
  std::vector<CheckResult> results;
  for (const Check& check : checks) results.push_back({.check = check});
  for (const RankAnswers& rank : ranks)
    for (const Answer& answer : rank.answers) {
      CheckResult& result = results.at(answer.index);
      result.findings.push_back({rank.rank, rank.host, answer.finding});
      result.verdict = std::max(result.verdict, answer.finding.verdict);
    }
  for (CheckResult& result : results) {
    if (result.check.agreement != Agreement::same_on_hosts) continue;
    const auto& all = result.findings;
    result.differs = std::any_of(all.begin(), all.end(), [&](const RankFinding& each) {
      return each.finding.found != all.front().finding.found;
    });
    if (result.differs) result.verdict = std::max(result.verdict, Verdict::warning);
  }
  return results;
}

std::int64_t count_of(std::span<const CheckResult> results, Verdict verdict) {
  return std::count_if(results.begin(), results.end(),
                       [&](const CheckResult& each) { return each.verdict == verdict; });
}

Verdict worst_of(std::span<const CheckResult> results) {
  Verdict worst = Verdict::skipped;
  for (const CheckResult& result : results) worst = std::max(worst, result.verdict);
  return worst;
}

std::string report_text(std::span<const CheckResult> all) {
  std::span<const CheckResult> results = all;
  std::size_t width = 0;
  for (const CheckResult& result : results) width = std::max(width, result.check.name.size());
  std::string text;
  while (!results.empty()) {
    const CheckGroup group = results.front().check.group;
    const auto end = std::find_if(results.begin(), results.end(),
                                  [&](const CheckResult& each) { return each.check.group != group; });
    text +=
        fmt::format("{}{}\n{}", text.empty() ? "" : "\n", name_of(group), group_text({results.begin(), end}, width));
    results = {end, results.end()};
  }
  const auto plural = [](std::int64_t count) { return count == 1 ? "" : "s"; };
  const std::int64_t warnings = count_of(all, Verdict::warning), failures = count_of(all, Verdict::failure);
  return text + fmt::format("\n{} checks: {} ok, {} warning{}, {} failure{}, {} about what is not here\n", all.size(),
                            count_of(all, Verdict::ok), warnings, plural(warnings), failures, plural(failures),
                            count_of(all, Verdict::skipped));
}

std::string checks_markdown() {
  std::string text =
      "# What `ferula doctor` checks\n\n"
      "This page is generated: `ferula doctor --markdown > docs/doctor.md`. The same table drives the program.\n\n"
      "```sh\n"
      "ferula doctor || test $? = 1                  # this host; 1: something has failed\n"
      "ferula doctor --ranks 2 || test $? = 1        # what ranks find together: bandwidth, binding, differing hosts\n"
      "ferula doctor --only files --json || test $? = 1\n"
      "```\n\n"
      "In a SLURM job `srun --mpi=pmix ferula doctor` asks all its hosts and names those that differ.\n\n"
      "A check is `ok`, a `warning` (a run works, but slowly, or not for long) or a `failure` (a run would fail or its "
      "results\nwould be wrong); it is `skipped` where what it is about is not here. Checks of a host are asked by its "
      "first rank, the\nothers by every rank. Where hosts must be alike and are not, that is a warning with what each "
      "of them has.\n";
  const CheckGroup* before = nullptr;
  for (const Check& check : all_checks()) {
    if (before == nullptr || *before != check.group)
      text += fmt::format("\n## {}\n\n| check | reads | expects | what to do otherwise |\n|---|---|---|---|\n",
                          name_of(check.group));
    const std::string alike = check.agreement == Agreement::same_on_hosts ? " (compared between hosts)" : "";
    text += fmt::format("| `{}` | {}{} | {} | {} |\n", check.name, check.reads, alike, cell(check.expected),
                        cell(check.remedy));
    before = &check.group;
  }
  return text;
}

}  // namespace ferula
