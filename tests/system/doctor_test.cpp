// `ferula doctor` as a user runs it, on this machine and with faults planted in its surroundings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <algorithm>

#include "program.hpp"

namespace ferula::system_tests {
namespace {

namespace json = boost::json;

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// `ferula doctor WORDS` behind shell commands that plant a fault.
Outcome doctor_after(const Workplace& workplace, const std::string& plant, const std::string& words) {
  return workplace.run({"bash", "-c", plant + "exec " FERULA_PROGRAM " doctor " + words});
}

const json::object& check_named(const json::value& report, std::string_view name) {
  const json::array& checks = report.at("checks").as_array();
  const auto found = std::find_if(checks.begin(), checks.end(),
                                  [&](const json::value& check) { return check.at("name").as_string() == name; });
  EXPECT_NE(found, checks.end()) << name;
  return found->as_object();
}

TEST(DoctorSystem, SaysWhichBackendsAreHereAndWhyNot) {
  const Workplace workplace;

  const json::value all = json::parse(workplace.ferula({"doctor", "--features", "--json"}).out);
  const Outcome without = doctor_after(workplace, "PATH=/nowhere; ", "--features");

  EXPECT_EQ(without.code, 0) << without.err;
  EXPECT_THAT(without.out, AllOf(HasSubstr("yes  CPU "), HasSubstr("yes  MPI "), HasSubstr("no   --ranks  no mpirun"),
                                 HasSubstr("no   SLURM    no sbatch in PATH; ")));
  EXPECT_TRUE(all.at("--ranks").at("available").as_bool());
  EXPECT_FALSE(all.at("CUDA").at("available").as_bool() &&
               all.at("CUDA").at("why").as_string().starts_with("expected"));
}

/// What its probes have left in the directory of runs.
std::vector<std::string> files_of_the_doctor(const Workplace& workplace) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(workplace.path()))
    if (const std::string name = entry.path().filename(); name.find("doctor") != std::string::npos)
      found.push_back(name);
  return found;
}

TEST(DoctorSystem, TellsOfThisMachine) {
  const Workplace workplace;

  const Outcome text = workplace.ferula({"doctor"});
  const Outcome outcome = workplace.ferula({"doctor", "--json"});

  EXPECT_THAT(text.out, AllOf(HasSubstr("\nmemory\n"), HasSubstr("\nlimits\n"), ContainsRegex("[0-9]+ checks: ")));
  const json::value report = json::parse(outcome.out);
  EXPECT_EQ(outcome.code, report.at("verdict").as_string() == "failure" ? 1 : 0) << outcome.err;
  std::int64_t counted = 0;
  for (const auto& [verdict, count] : report.at("counts").as_object()) counted += count.to_number<std::int64_t>();
  EXPECT_GE(counted, 40);
  EXPECT_EQ(counted, std::ssize(report.at("checks").as_array()));
  EXPECT_EQ(check_named(report, "run-directory").at("verdict").as_string(), "ok");
  EXPECT_THAT(files_of_the_doctor(workplace), IsEmpty());
}

TEST(DoctorSystem, FindsWhatIsWrongAroundIt) {
  struct Case {
    std::string plant, words, found, advice;
  };
  const Workplace workplace;
  workplace.write("old/mpirun", "#!/bin/sh\necho 'mpirun (Open MPI) 1.2.3'\n");
  std::filesystem::permissions(workplace.path() / "old/mpirun", std::filesystem::perms::owner_all);
  for (const Case& each : {
           Case{"ulimit -n 64; ", "--only limits", "failure  limit-open-files .*64", "ulimit -n 65536"},
           Case{"ulimit -Sf 1024; ", "--only limit-file-size", "failure  limit-file-size .*1.00 MiB", "ulimit -f"},
           Case{"export TMPDIR=/nowhere; ", "--only files", "failure  temporary-directory .*/nowhere", "TMPDIR=/tmp"},
           Case{"", "--only files --directory /proc", "failure  run-directory .*/proc", "output_dir"},
           Case{"export PATH=$PWD/old:$PATH; ", "--only mpi", "failure  mpi-match .*1.2.3", "load one MPI module"},
           Case{"export FERULA_NCCL_LIBRARY=/no/libnccl.so; ", "--only program", "failure  nccl-library .*is no file",
                "unset FERULA_NCCL_LIBRARY"},
           Case{"export OMPI_MCA_btl=tcp; ", "--only mpi-variables", "failure  mpi-variables .*lacks 'self'",
                "unset OMPI_MCA_btl"},
       }) {
    const Outcome outcome = doctor_after(workplace, each.plant, each.words);

    EXPECT_EQ(outcome.code, 1) << each.words << outcome.err;
    EXPECT_THAT(outcome.out, AllOf(ContainsRegex(each.found), HasSubstr("expected: "), HasSubstr(each.advice)));
  }
}

TEST(DoctorSystem, WarnsWithoutFailing) {
  const Workplace workplace;

  const Outcome outcome = doctor_after(workplace, "export OMP_NUM_THREADS=4000 LD_LIBRARY_PATH=/gone; ",
                                       "--only threads --only library-path");

  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("OMP_NUM_THREADS=4000 for"), HasSubstr("/gone is missing"),
                                 HasSubstr("2 checks: 0 ok, 2 warnings, 0 failures")));
}

TEST(DoctorSystem, AsksAllRanksAndMeasuresBetweenThem) {
  const Workplace workplace;

  const Outcome outcome = workplace.ferula({"doctor", "--ranks", "2", "--only", "speed", "--only", "limits", "--json"});

  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json::value report = json::parse(outcome.out);
  EXPECT_EQ(report.at("ranks").as_int64(), 2);
  for (const char* name : {"speed-link", "speed-compute", "limit-open-files"})
    EXPECT_EQ(check_named(report, name).at("findings").as_array().size(), 2U) << name;
  EXPECT_THAT(check_named(report, "speed-link").at("findings").at(1).at("found").as_string().c_str(),
              HasSubstr("GB/s"));
  EXPECT_THAT(files_of_the_doctor(workplace), IsEmpty());
}

TEST(DoctorSystem, FailsOnAllRanksWhereOneOfThemFails) {
  const Workplace workplace;
  const std::string ranks =
      "mpirun --allow-run-as-root --oversubscribe --bind-to none -n 2 sh -c '"
      "test $OMPI_COMM_WORLD_RANK = 0 || ulimit -n 200; exec " FERULA_PROGRAM " doctor --only limit-open-files'";

  const Outcome outcome = workplace.run({"bash", "-c", ranks});

  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, ContainsRegex("rank 1 \\(.*\\): 200"));
}

TEST(DoctorSystem, RefusesACheckThatItDoesNotKnow) {
  const Workplace workplace;

  const Outcome outcome = workplace.ferula({"doctor", "--only", "fles"});

  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean 'files'?"));
}

TEST(DoctorSystem, PrintsItsPage) {
  const Workplace workplace;

  const Outcome page = workplace.ferula({"doctor", "--markdown"});

  EXPECT_EQ(page.code, 0);
  EXPECT_THAT(page.out, AllOf(StartsWith("# What `ferula doctor` checks"), HasSubstr("| `shared-memory` |")));
}

}  // namespace
}  // namespace ferula::system_tests
