// Brings a text of each rank to every rank.
#pragma once

#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace ferula {

/// The texts of all ranks of the group, by rank, on every rank. Collective. Cost: an all-gather of the longest text.
std::vector<std::string> gather_texts(Communicator& group, Stream& stream, const std::string& mine);

}  // namespace ferula
