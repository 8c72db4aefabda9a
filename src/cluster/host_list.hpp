// Names of hosts as SLURM abbreviates them: "gpu[01-08],gpu09".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ferula {

/// The names one by one, in order. Empty where a bracket, a number or a name is missing, or there are more than 65,536.
std::optional<std::vector<std::string>> expand_host_list(std::string_view list);

}  // namespace ferula
