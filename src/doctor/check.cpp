#include "doctor/check.hpp"

#include <array>

namespace ferula {

std::string_view name_of(Verdict verdict) {
  constexpr std::array<std::string_view, 4> kNames{"skipped", "ok", "warning", "failure"};
  return kNames.at(static_cast<std::size_t>(verdict));
}

std::string_view name_of(CheckGroup group) {
  constexpr std::array<std::string_view, kCheckGroups> kNames{"program", "mpi",   "processors", "memory", "limits",
                                                              "files",   "clock", "gpu",        "slurm",  "speed"};
  return kNames.at(static_cast<std::size_t>(group));
}

const std::vector<Check>& all_checks() {
  static const std::vector<Check> checks = [] {
    std::vector<Check> all;
    const auto add = [&](CheckGroup group, std::span<const Check> rows) {
      for (Check check : rows) {
        check.group = group;
        all.push_back(check);
      }
    };
    add(CheckGroup::program, program_checks());
    add(CheckGroup::mpi, mpi_checks());
    add(CheckGroup::processors, processor_checks());
    add(CheckGroup::memory, memory_checks());
    add(CheckGroup::limits, limit_checks());
    add(CheckGroup::files, file_checks());
    add(CheckGroup::clock, clock_checks());
    add(CheckGroup::gpu, gpu_checks());
    add(CheckGroup::slurm, slurm_checks());
    add(CheckGroup::speed, speed_checks());
    return all;
  }();
  return checks;
}

}  // namespace ferula
