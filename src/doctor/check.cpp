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
    for (const auto& group : {program_checks(), mpi_checks(), processor_checks(), memory_checks(), limit_checks(),
                              file_checks(), clock_checks(), gpu_checks(), slurm_checks(), speed_checks()})
      all.insert(all.end(), group.begin(), group.end());
    return all;
  }();
  return checks;
}

}  // namespace ferula
