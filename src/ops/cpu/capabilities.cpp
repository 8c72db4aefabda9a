// Questions to the matrix library about this processor.
#include "ops/capabilities.hpp"

#include "ops/cpu/matmul.hpp"

namespace ferula {

bool cpu_computes_bf16() { return cpu::has_bf16_instructions(); }

}  // namespace ferula
