// `--per-rank-log DIR`: what each rank prints, in a file of its own, whoever started the ranks.
#pragma once

#include <string>

namespace ferula {

/// DIR/rank-00003.txt
std::string rank_log(const std::string& directory, int rank);

/// From now on both outputs of this process go there, behind what an earlier start has written. Makes the folder.
/// Throws DeviceError where that cannot be.
void print_to_rank_log(const std::string& directory, int rank);

}  // namespace ferula
