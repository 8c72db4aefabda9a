#include "comm/launch_environment.hpp"

#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "base/error.hpp"

namespace ferula {
namespace {

std::optional<int> whole_number(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size() || value < 0) return std::nullopt;
  return value;
}

struct Variables {
  const char* rank;
  const char* ranks;
};
constexpr std::array<Variables, 3> kLaunchers{{{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                                               {"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},
                                               {"PMI_RANK", "PMI_SIZE"}}};

}  // namespace

std::optional<LaunchedRank> launched_rank() {
  for (const Variables& launcher : kLaunchers) {
    const std::optional<int> rank = whole_number(launcher.rank), ranks = whole_number(launcher.ranks);
    if (rank && ranks && *rank < *ranks) return LaunchedRank{.rank = *rank, .ranks = *ranks};
  }
  return std::nullopt;
}

std::optional<int> strangers_in_step() {
  const std::optional<int> tasks = whole_number("SLURM_STEP_NUM_TASKS");
  const bool is_task = whole_number("SLURM_PROCID") && whole_number("SLURM_STEP_ID");
  return is_task && tasks.value_or(1) > 1 && !launched_rank() ? tasks : std::nullopt;
}

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::vector<std::string> forwarded_variables(const std::vector<std::string>& wanted) {
  std::vector<std::string> patterns{"FERULA_*", "NCCL_*", "UCX_*", "OMP_NUM_THREADS", "LD_LIBRARY_PATH"}, given;
  for (const std::string& each : wanted) {
    (each.find('=') == std::string::npos ? patterns : given).push_back(each);
    if (each.find_first_of("=*?[") == std::string::npos && std::getenv(each.c_str()) == nullptr)
      throw ConfigError(
          fmt::format("--env-forward: expected a variable that is set, found '{}', which is not; export "
                      "it, or write {}=VALUE",
                      each, each));
  }
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const std::string name(variable.substr(0, variable.find('=')));
    const bool goes_along = std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
      return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
    });
    if (goes_along) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  names.insert(names.end(), given.begin(), given.end());
  return names;
}

std::string gpu_environment() {
  std::string text;
  for (const char* variable : {"CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS"}) {
    const char* value = std::getenv(variable);
    text += std::string(text.empty() ? "" : ", ") + variable + (value == nullptr ? " not set" : "=");
    if (value != nullptr) text += value;
  }
  return text;
}

std::string slurm_job() {
  const char* number = std::getenv("SLURM_JOB_ID");
  return number == nullptr ? "" : number;
}

}  // namespace ferula
