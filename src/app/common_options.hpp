// Options that several commands share.
#pragma once

#include "app/command_line.hpp"

namespace ferula {

inline constexpr OptionSpec kSet{"set", "KEY=VALUE", "Overrides a key of the configuration; may be given many times."};
inline constexpr OptionSpec kJson{"json", "", "Prints JSON for programs instead of text for people."};
inline constexpr OptionSpec kPerRankLog{"per-rank-log", "DIR", "Writes what each rank prints to a file of its own."};

}  // namespace ferula
