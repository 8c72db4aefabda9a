// Why a job waits, in words of its owner.
#pragma once

#include <string>
#include <string_view>

namespace ferula {

/// What a reason of squeue, "(QOSMaxJobsPerUserLimit)" or "Priority", means and what, if anything, its owner can do. An
/// unknown one stays as it is.
std::string reason_in_words(std::string_view reason);

}  // namespace ferula
