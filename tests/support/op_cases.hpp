// The one table of cases of all operations: small and odd shapes for tests, the shapes of a model for timing.
#pragma once

#include <string>
#include <vector>

#include "support/op_case.hpp"

namespace ferula::test {

/// Every operation in both types with odd, single and empty shapes; quick enough to differentiate numerically.
std::vector<OpCase> op_cases();

/// Expects of attention in bf16 no more than where it gives weights and slopes to its products rounded to bf16, a
/// relative error of 2^-9 each: as if the operands that they multiply had been moved by as much.
std::vector<OpCase> with_rounded_weights(std::vector<OpCase> cases);

/// Shapes at which each block of a GPU takes several turns; too slow to differentiate numerically.
std::vector<OpCase> large_cases();

/// The same operations at the shapes of a GPT-2 124M layer and of its Llama-like variant.
std::vector<OpCase> timing_cases();

/// The operations that ops/ops.hpp declares: those that take a stream, and make_prepared.
std::vector<std::string> operations_of_interface();

// The parts of the table, one for each topic.
std::vector<OpCase> product_cases();
std::vector<OpCase> product_large_cases();
std::vector<OpCase> product_timing_cases();
std::vector<OpCase> norm_cases();
std::vector<OpCase> norm_large_cases();
std::vector<OpCase> norm_timing_cases();
std::vector<OpCase> pointwise_cases();
std::vector<OpCase> pointwise_timing_cases();
std::vector<OpCase> attention_cases();
std::vector<OpCase> attention_timing_cases();
std::vector<OpCase> loss_cases();
std::vector<OpCase> loss_large_cases();
std::vector<OpCase> loss_timing_cases();
std::vector<OpCase> range_cases();
std::vector<OpCase> range_timing_cases();

}  // namespace ferula::test
