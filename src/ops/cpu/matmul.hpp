// One product of two matrices by oneDNN. Primitives are kept by shape, so that a shape seen before creates nothing.
#pragma once

#include <memory>
#include <optional>

#include "device/device.hpp"
#include "ops/ops.hpp"

namespace ferula::cpu {

/// The right factor [k, n] of products in the layout that oneDNN likes best.
struct PackedMatrix {
  std::int64_t k = 0;
  std::int64_t n = 0;
  DType dtype = DType::f32;
  TensorView memory;  // [packed_bytes(k, n, dtype)] u8
};

/// Factors are views of rank 2 with any strides of which one is 1, so a transpose is a view. Sums are f32.
/// Scratch of the library is taken from the device as `buffers` and only grows. Calls wait for each other.
class Matmul {
 public:
  explicit Matmul(Device& device);
  ~Matmul();

  /// c = a · b + bias (+ c when adding). a [m, k], b [k, n] of one type, f32 or bf16; c [m, n] that type or f32;
  /// bias [n] that type or empty. Throws DeviceError where the library refuses.
  void multiply(TensorView a, TensorView b, TensorView bias, TensorView c, Accumulate accumulate);
  void multiply(TensorView a, const PackedMatrix& b, TensorView bias, TensorView c, Accumulate accumulate);

  /// What the library takes beside the operands of such a product; views need no memory, and a bias is its type alone.
  std::int64_t scratch_bytes(TensorView a, TensorView b, std::optional<DType> bias, TensorView c,
                             Accumulate accumulate);
  std::int64_t scratch_bytes(TensorView a, const PackedMatrix& b, std::optional<DType> bias, TensorView c,
                             Accumulate accumulate);
  /// Gives the library's scratch back.
  void release_scratch();

  std::int64_t packed_bytes(std::int64_t k, std::int64_t n, DType dtype);
  /// Fills `to` from a view [k, n]; bf16 may be widened to f32 on the way.
  void pack(TensorView from, const PackedMatrix& to);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

/// Whether the processor has instructions that multiply bf16.
bool has_bf16_instructions();
/// Whether `Matmul` takes bf16 factors at all, by instructions or by emulation.
bool supports_bf16_factors();

}  // namespace ferula::cpu
