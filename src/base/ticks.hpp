// Marks of time that cost a third of those of the system's clock: for what is over within a microsecond.
#pragma once

#include <cstdint>

namespace ferula {

/// A mark of now. Those of all threads of a process can be compared.
std::int64_t ticks_now();
/// What lies between two marks that are so far apart.
double seconds_of_ticks(std::int64_t ticks);

}  // namespace ferula
