#include "app/launch/launch_report.hpp"

#include <algorithm>
#include <fstream>
#include <string>

namespace ferula {
namespace {

void append(const std::filesystem::path& report, const std::string& line) {
  if (report.empty()) return;
  std::ofstream(report, std::ios::app) << line << std::flush;  // one short write: lines of two ranks never mix
}

bool is_success(ExitCode code) {
  return code == ExitCode::done || code == ExitCode::resume_me || code == ExitCode::interrupted;
}

}  // namespace

void report_ready(const std::filesystem::path& report) { append(report, "ready 0\n"); }

void report_interrupt(const std::filesystem::path& report) { append(report, "interrupt 0\n"); }

void report_end(const std::filesystem::path& report, ExitCode code) {
  append(report, fmt::format("end {}\n", static_cast<int>(code)));
}

LaunchReport read_launch_report(const std::filesystem::path& report) {
  LaunchReport found;
  std::ifstream lines(report);
  std::string word;
  int number = 0;
  while (lines >> word >> number) {
    if (word == "ready") {
      ++found.ready;
      continue;
    }
    if (word == "interrupt") {
      found.is_interrupted = true;
      continue;
    }
    ++found.ended;
    const auto code = static_cast<ExitCode>(number);
    if (!is_success(code))
      found.error = found.error.value_or(code);
    else
      found.success = std::max(found.success, code);
  }
  return found;
}

}  // namespace ferula
