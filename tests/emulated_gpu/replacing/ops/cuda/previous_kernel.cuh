// Stands in for the header of this name where kernels run on the processor.
#pragma once

#include "grid.hpp"

namespace ferula::cuda {

inline void await_previous_kernel() { emulated::note_previous_awaited(); }

}  // namespace ferula::cuda
