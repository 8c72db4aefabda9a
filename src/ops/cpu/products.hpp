// The matrix products of a linear layer on the CPU: which way bf16 is multiplied, packed weights, gradients of biases.
#pragma once

#include <memory>

#include "ops/cpu/matmul.hpp"
#include "ops/cpu/packed_weight.hpp"
#include "ops/cpu/workspace.hpp"
#include "ops/ops.hpp"

namespace ferula::cpu {

/// How bf16 factors are multiplied. Both ways sum in f32 and round a result once.
enum class Bf16Products : std::uint8_t {
  native,       // handed to oneDNN as they are
  through_f32,  // widened block by block and multiplied in f32: five times faster without bf16 instructions
};

/// How f32 factors are multiplied where the right one has contiguous rows: the gradient of a layer's input.
enum class F32Products : std::uint8_t {
  library,  // by oneDNN
  tiled,    // by ops/cpu/tiled_matmul.hpp: without AVX-512 up to twice as fast with some hundred rows
};

/// `tiled` where the processor has AVX2 and no AVX-512, else `library`.
F32Products best_f32_products();

/// `native` where the processor multiplies bf16, else `through_f32`.
Bf16Products best_bf16_products();

/// The three products of a linear layer; contracts in ops.hpp. One object a rank.
class Products {
 public:
  /// `device` and `workspace` must outlive it.
  Products(Device& device, Workspace& workspace, Bf16Products bf16_products = best_bf16_products(),
           F32Products f32_products = best_f32_products());

  void linear(TensorView x, const WeightView& w, TensorView bias, TensorView y, Accumulate accumulate);
  void linear_backward_input(TensorView dy, const WeightView& w, TensorView dx, Accumulate accumulate);
  /// dbias is summed in a fixed order; dw may differ in its last bits between numbers of threads.
  void linear_backward_weight(TensorView x, TensorView dy, TensorView dw, Accumulate accumulate, TensorView dbias);
  /// What the three products of a layer without packed weights take; see Ops.
  ScratchBytes scratch(const LinearShape& shape);
  void release_scratch() { matmul_.release_scratch(); }
  std::unique_ptr<PreparedWeight> make_prepared(std::int64_t out, std::int64_t in, DType dtype);

 private:
  /// The right factor b [k, n] of a product and, if there is one, its packed form.
  struct Factor {
    TensorView values;
    PackedFactor* packed = nullptr;
    std::uint64_t version = 0;
  };

  /// c = a · b + bias (+ c when adding).
  void multiply(TensorView a, const Factor& b, TensorView bias, TensorView c, Accumulate accumulate);
  void multiply_through_f32(TensorView a, const Factor& b, TensorView bias, TensorView c, Accumulate accumulate);
  /// The same where b has so many rows that they are better taken in blocks, whose products are summed in f32.
  void multiply_deep_through_f32(TensorView a, TensorView b, TensorView bias, TensorView c, Accumulate accumulate);
  /// dw (+)= dyᵀ · x.
  void outer(TensorView x, TensorView dy, TensorView dw, Accumulate accumulate);
  void outer_through_f32(TensorView x, TensorView dy, TensorView dw, Accumulate accumulate);
  bool goes_through_f32(DType dtype, std::int64_t rows, const PackedFactor* packed) const;
  /// Whether [rows, k] · b without a bias is multiplied in tiles.
  bool goes_in_tiles(std::int64_t rows, const TensorView& b) const;

  /// How a product is cut into blocks of widened factors, and what they take of the workspace.
  struct Blocks {
    std::int64_t rows = 0;   // of the left factor
    std::int64_t width = 0;  // columns of the right factor; its rows where it is deep
    std::int64_t pack_bytes = 0;
    std::int64_t widened = 0;  // elements of the right factor that are widened before they are packed
    std::int64_t bytes = 0;
  };
  Blocks wide_blocks(std::int64_t rows, std::int64_t k, std::int64_t n, const PackedFactor* packed);
  Blocks deep_blocks(std::int64_t rows, std::int64_t n);
  Blocks outer_blocks(std::int64_t rows, std::int64_t in, std::int64_t out);
  static bool is_deep(std::int64_t k);
  /// Packs a bf16 factor as f32, by way of `wide` where that has elements.
  void pack_widened(TensorView from, const PackedMatrix& to, TensorView wide);

  std::int64_t outer_pack_bytes(std::int64_t rows, std::int64_t in, DType dtype);
  ScratchBytes multiply_scratch(std::int64_t rows, TensorView b, std::optional<DType> bias, DType result);
  ScratchBytes outer_scratch(const LinearShape& shape);

  Device* device_;
  Workspace* workspace_;
  Matmul matmul_;
  Bf16Products bf16_products_;
  F32Products f32_products_;
};

}  // namespace ferula::cpu
