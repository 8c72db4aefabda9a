// Whether a backend may choose by the clock.
#pragma once

namespace ferula {

/// same_bits: the same call gives the same bits in every run. fastest: the choice between ways to sum may depend on
/// what was the fastest when it was tried; within a run it stays.
enum class Determinism : unsigned char { fastest, same_bits };

}  // namespace ferula
