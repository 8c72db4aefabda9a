// What the instructions of this processor let the operations use.
#pragma once

#include <string>

namespace ferula::cpu {

/// Lets the kernels use no wider vectors than the matrix library does: ONEDNN_MAX_CPU_ISA, which the library reads,
/// then masks instruction sets for all of the program. Does nothing after the first call, and nothing where the
/// variable is not set. Not while kernels run.
void follow_masked_instruction_sets();

/// "no AVX-512 and no bf16 instructions: bf16 is computed as f32"; empty where nothing is missing.
std::string missing_instructions();

}  // namespace ferula::cpu
