// Matrix products of the CPU backend, done by oneDNN with f32 accumulation.
#pragma once

#include <memory>

#include "ops/cpu/workspace.hpp"
#include "ops/ops.hpp"

namespace ferula::cpu {

/// How bf16 operands are multiplied. Both ways accumulate in f32 and round each result once.
enum class Bf16Products : std::uint8_t {
  native,       // by bf16 instructions
  through_f32,  // operands are widened, block by block, and multiplied in f32
};

/// `native` where the processor multiplies bf16, else `through_f32`.
Bf16Products best_bf16_products();

/// The three products of a linear layer; contracts in ops.hpp. One object a rank: it keeps the primitives of the
/// shapes seen so far, so that a step whose shapes have been seen creates nothing.
class Products {
 public:
  Products(Device& device, Workspace& workspace, Bf16Products bf16_products = best_bf16_products());
  ~Products();

  void linear(TensorView x, const WeightView& w, TensorView bias, TensorView y, Accumulate accumulate);
  void linear_backward_input(TensorView dy, const WeightView& w, TensorView dx, Accumulate accumulate);
  void linear_backward_weight(TensorView x, TensorView dy, TensorView dw, TensorView dbias);
  std::unique_ptr<PreparedWeight> make_prepared(std::int64_t out, std::int64_t in, DType dtype);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ferula::cpu
