// One matrix product through cuBLASLt, with the algorithm of each shape remembered: the fastest of those it suggests.
#pragma once

#include <cublasLt.h>

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "device/device.hpp"
#include "ops/cuda/workspace.hpp"
#include "ops/determinism.hpp"

namespace ferula::cuda {

enum class Transpose : std::uint8_t { no, yes };

/// What is done with a sum s before it is stored; h is the element of `hidden` at the same place.
enum class Epilogue : std::uint8_t {
  none,
  gelu,           // h = s, c = gelu(s)
  gelu_backward,  // c = s · gelu'(h)
};

/// c [m, n] = op(a) · op(b) (+ bias over the columns) (+ c when adding); all row-major, columns together, accumulated
/// in f32, TF32 off. a and b share a type T; c is T or f32; bias [n] is of c's type, or empty. `hidden` is like c, and
/// empty without an epilogue.
struct Product {
  TensorView a;  // [m, k], or [k, m] transposed
  TensorView b;  // [k, n], or [n, k] transposed
  Transpose a_transpose = Transpose::no;
  Transpose b_transpose = Transpose::no;
  TensorView c;
  TensorView bias = {};
  bool adds = false;
  Epilogue epilogue = Epilogue::none;
  TensorView hidden = {};

  std::int64_t m() const { return c.dim(0); }
  std::int64_t n() const { return c.dim(1); }
  std::int64_t k() const { return a.dim(a_transpose == Transpose::no ? 1 : 0); }
};

/// Owns the library's handle and its workspace. Thread-safe. With Determinism::fastest the first run of a large shape
/// tries up to 16 of the library's suggestions, four launches each, and waits for them; with same_bits all runs take
/// the library's first suggestion.
class Matmul {
 public:
  /// The memory that the library may use beside the operands.
  static constexpr std::int64_t kWorkspaceBytes = 32 << 20;

  Matmul(Device& device, Determinism determinism);
  ~Matmul();
  Matmul(const Matmul&) = delete;
  Matmul& operator=(const Matmul&) = delete;

  /// Falls back to a plain kernel where the library knows no algorithm (odd alignments); not with an epilogue.
  void run(cudaStream_t stream, const Product& product);
  /// Whether the library knows an algorithm for the product with its epilogue.
  bool knows(const Product& product);

  /// The library's suggestions for a product, best first: for benchmarks.
  std::vector<cublasLtMatmulAlgo_t> algorithms(const Product& product, int most);
  /// Runs the product with one of them.
  void run_with(cudaStream_t stream, const Product& product, const cublasLtMatmulAlgo_t& algorithm);

 private:
  struct Plan;
  using Key = std::array<std::int64_t, 16>;

  static Key key_of(const Product& product);
  Plan& plan_of(const Product& product);
  std::vector<cublasLtMatmulHeuristicResult_t> suggestions(const Plan& plan, const Product& product, int most);
  /// c = alpha · op(a) · op(b) and so on.
  cublasStatus_t launch(cudaStream_t stream, const Plan& plan, const Product& product,
                        const cublasLtMatmulAlgo_t& algorithm, float alpha);
  void execute(cudaStream_t stream, const Plan& plan, const Product& product, const cublasLtMatmulAlgo_t& algorithm);
  /// Replaces the plan's algorithm by the fastest of the library's suggestions.
  void settle(cudaStream_t stream, Plan& plan, const Product& product);
  /// Seconds of a launch, the mean of some that follow each other; nothing where one fails. c stays what it was where
  /// the product adds to it.
  std::optional<double> seconds(cudaStream_t stream, const Plan& plan, const Product& product,
                                const cublasLtMatmulAlgo_t& algorithm, int launches);

  std::mutex mutex_;
  cublasLtHandle_t handle_ = nullptr;
  Workspace workspace_;
  Determinism determinism_;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

/// The product by plain loops over tiles, for any alignment; a bias is of c's type. No epilogue.
void plain_product(cudaStream_t stream, const Product& product);
/// y [rows, columns] f32 or bf16 += bias [columns], of any of the two types.
void add_bias(cudaStream_t stream, TensorView y, TensorView bias);

}  // namespace ferula::cuda
