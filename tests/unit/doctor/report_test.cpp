// From the answers of ranks to one verdict a check, the hosts that differ, and the page of all checks.
#include "doctor/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "fake_system.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::vector<CheckResult> results_of(const std::vector<FakeSystem>& systems) {
  std::vector<RankAnswers> ranks;
  for (const FakeSystem& system : systems)
    ranks.push_back({system.facts.rank, system.facts.host, examine(all_checks(), system)});
  return judged_together(all_checks(), ranks);
}

/// Four ranks on gpu01 and gpu02.
std::vector<FakeSystem> two_hosts() {
  std::vector<FakeSystem> systems;
  for (int rank = 0; rank < 4; ++rank) {
    FakeSystem& system = systems.emplace_back(FakeSystem::healthy());
    system.facts.rank = rank;
    system.facts.rank_on_node = rank % 2;
    system.facts.host = rank < 2 ? "gpu01" : "gpu02";
  }
  systems[2].variables["SLURMD_NODENAME"] = "gpu01";
  return systems;
}

const CheckResult& result_named(const std::vector<CheckResult>& results, std::string_view name) {
  const auto found =
      std::find_if(results.begin(), results.end(), [&](const CheckResult& each) { return each.check.name == name; });
  EXPECT_NE(found, results.end()) << name;
  return *found;
}

TEST(DoctorReport, AsksEachHostOnceAndEachRankForItsOwn) {
  const std::vector<CheckResult> results = results_of(two_hosts());

  EXPECT_EQ(result_named(results, "gpu-driver").findings.size(), 2U);
  EXPECT_EQ(result_named(results, "limit-open-files").findings.size(), 4U);
  EXPECT_EQ(worst_of(results), Verdict::ok);
  EXPECT_EQ(count_of(results, Verdict::ok), std::ssize(all_checks()));
}

TEST(DoctorReport, NamesTheHostsThatDiffer) {
  std::vector<FakeSystem> systems = two_hosts();
  systems[2].facts.program = "0.1.0 (old)";
  for (auto& gpu : systems[2].gpus) gpu["driver_version"] = "570.1";

  const std::vector<CheckResult> results = results_of(systems);

  EXPECT_EQ(result_named(results, "program-version").verdict, Verdict::warning);
  EXPECT_TRUE(result_named(results, "gpu-driver-version").differs);
  EXPECT_FALSE(result_named(results, "gpu-model").differs);
  EXPECT_THAT(report_text(results), AllOf(HasSubstr("gpu01: 0.1.0 (abc)"), HasSubstr("gpu02: 0.1.0 (old)"),
                                          HasSubstr("gpu02: 570.1"), HasSubstr("2 warnings, 0 failures")));
}

TEST(DoctorReport, NamesWhereAFaultIsWithWhatToDo) {
  std::vector<FakeSystem> systems = two_hosts();
  systems[3].variables["OMP_NUM_THREADS"] = "64";
  systems[2].gpus.at(0)["ecc.errors.uncorrected.volatile.total"] = "1";

  const std::vector<CheckResult> results = results_of(systems);

  EXPECT_EQ(worst_of(results), Verdict::failure);
  EXPECT_THAT(report_text(results),
              AllOf(HasSubstr("rank 3 (gpu02): OMP_NUM_THREADS=64"), HasSubstr("gpu02: GPU 0: 1 uncorrected"),
                    HasSubstr("expected: no uncorrected memory errors"), HasSubstr("do: leave this host"),
                    Not(HasSubstr("gpu01: GPU"))));
}

TEST(DoctorReport, SaysInOneLineWhatIsNotHere) {
  FakeSystem bare = FakeSystem::healthy();
  bare.files.erase("/proc/driver/nvidia/version");
  bare.variables.erase("SLURM_GPUS_ON_NODE");

  const std::string text = report_text(results_of({bare}));

  EXPECT_THAT(text, AllOf(HasSubstr("no GPU"), Not(HasSubstr("gpu-temperature")))) << text;
}

TEST(DoctorReport, IsThePageOfTheDocumentation) {
  std::ifstream file(FERULA_SOURCE_DIR "/docs/doctor.md");
  std::stringstream page;
  page << file.rdbuf();

  EXPECT_TRUE(page.str() == checks_markdown()) << "run: ferula doctor --markdown > docs/doctor.md";
}

}  // namespace
}  // namespace ferula
