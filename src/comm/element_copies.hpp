// Copies between operands of collectives.
#pragma once

#include "device/tensor_view.hpp"

namespace ferula {

/// Copies contiguous `from` to `to` of equal size; nothing where they are the same memory.
void copy_elements(const TensorView& from, const TensorView& to);

/// The same past the caches, for more than they hold: the destination is not read before it is written.
void stream_elements(const TensorView& from, const TensorView& to);

}  // namespace ferula
