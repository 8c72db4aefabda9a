// What a GPU did when: how much of the steps it was idle, which kernels took the time, and what ran beside compute.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ferula::gpu_test {

/// Copies, and kernels of a communication library, against all other kernels and memory sets.
enum class Work : std::uint8_t { compute, copy, collective };

/// One kernel, copy or memory set on a GPU.
struct GpuActivity {
  std::string name;                  // of a kernel as the linker has it
  std::uint64_t begin = 0, end = 0;  // nanoseconds of one clock
  Work work = Work::compute;
};

/// The work of a kernel of this name.
Work work_of_kernel(const std::string& linker_name);

/// A GPU's whole run, cut at each kernel that begins a micro step.
struct Timeline {
  /// All kernels of one name; the same template with other arguments is another kernel.
  struct Row {
    std::string name;
    double microseconds = 0, launches = 0;  // of one step
  };

  /// The time between the end of all earlier work and the begin of an activity.
  struct Gap {
    std::string after, before;              // names of the activities beside it
    double microseconds = 0, launches = 0;  // of one step
  };

  std::int64_t steps = 0;   // that were looked at
  double microseconds = 0;  // of one step, as are those below
  double busy = 0;          // at least one activity ran
  double copies = 0, copies_beside_compute = 0;
  double collectives = 0, collectives_beside_compute = 0;
  std::vector<Row> rows;  // the longest first
  std::vector<Gap> gaps;  // likewise

  double idle_share() const { return microseconds > 0 ? 1.0 - busy / microseconds : 0.0; }
};

/// Words in the names of kernels by which steps are told apart.
struct StepMarks {
  std::string first;   // begins a micro step
  std::string update;  // after the last of these come no more steps, but a validation
};

/// Looks at the micro steps after the first third, which set things up, up to the begin of the last one. Without three
/// of them `steps` is 0.
Timeline look_at(std::vector<GpuActivity> activities, const StepMarks& marks);

/// Lines "steps N", "idle_share X" and so on, which scripts read, a table of the kernels and one of the gaps between
/// them.
std::string text_of(const Timeline& timeline);

}  // namespace ferula::gpu_test
