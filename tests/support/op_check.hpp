// Checks one case of the table of operations: against the exact reference, and against finite differences.
#pragma once

#include <functional>
#include <string>

#include "support/op_case.hpp"

namespace ferula::test {

/// Runs the case on `ops` and on the reference in f64, and compares every output. Empty when all is well, else what
/// is wrong and by how much.
///
/// An element may differ by one rounding of its type, plus what the exact answer moves in the norm of the largest
/// element when every input moves by `OpCase::rounding`: a backward-stable operation answers exactly for inputs that
/// differ by a few roundings (Higham, "Accuracy and Stability of Numerical Algorithms", 1.5).
std::string compare_with_reference(const OpCase& op_case, Ops& ops, Device& device);

/// The same for operations of another device than the host's: operands go there and results come back.
std::string compare_with_reference(const OpCase& op_case, Ops& ops, Device& device, Device& host);

/// Runs the case's call on copies of the tensors of `set` in memory of `device`, and brings all of them back.
void run_on(const OpCase& op_case, Ops& ops, Device& device, TensorSet& set);

/// Runs the case's call `runs` times from the same tensors on the host, `before(run)` first, from 0. The names of the
/// tensors of which a later run has other bits than the first.
std::string changed_between_runs(const OpCase& op_case, Ops& ops, Device& device, Device& host, int runs,
                                 const std::function<void(int)>& before);

/// Compares the case's gradients with central differences of its forward pass along random directions, both on the
/// reference in f64. Empty when all is well. Only for cases with a derivative.
///
/// A central difference with step h = 1e-5 errs by O(h²) + 1e-16/h times the values at hand: 1e-6 is allowed.
std::string compare_with_differences(const OpCase& op_case, Device& device);

}  // namespace ferula::test
