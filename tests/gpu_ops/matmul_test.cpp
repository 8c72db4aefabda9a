// The choice between the library's algorithms leaves the result as it is.
#include "ops/cuda/matmul.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "device/cuda/cuda_stream.hpp"
#include "gpu.hpp"

namespace ferula::gpu_test {
namespace {

constexpr std::int64_t kSide = 1024;  // 2.1 GFLOP: large enough to be tried

/// c = 1 + 2 · a · b by two additions, on the host.
std::vector<float> added_twice(Determinism determinism) {
  GpuBench gpu;
  const std::unique_ptr<Stream> stream = gpu.device().make_stream();
  const auto make = [&](DType dtype) {
    return gpu.device().allocate(TensorView(nullptr, dtype, {kSide, kSide}).bytes(), MemoryKind::buffers);
  };
  const Buffer a = make(DType::bf16), b = make(DType::bf16), c = make(DType::f32);
  gpu.ops().fill_normal(*stream, a.flat(DType::bf16), 1, 0, 1.0f);
  gpu.ops().fill_normal(*stream, b.flat(DType::bf16), 2, 0, 1.0f);
  gpu.ops().fill(*stream, c.flat(DType::f32), 1.0f);
  cuda::Matmul matmul(gpu.device(), determinism);
  const cuda::Product product{.a = a.view(DType::bf16, {kSide, kSide}),
                              .b = b.view(DType::bf16, {kSide, kSide}),
                              .a_transpose = cuda::Transpose::yes,
                              .c = c.view(DType::f32, {kSide, kSide}),
                              .adds = true};
  for (int each = 0; each < 2; ++each) matmul.run(native_stream(*stream), product);
  std::vector<float> result(static_cast<std::size_t>(kSide * kSide));
  gpu.device().copy(*stream, c.data(), reinterpret_cast<std::byte*>(result.data()), c.bytes());
  stream->synchronize();
  return result;
}

TEST(Matmul, TryingAlgorithmsAddsNothing) {
  const std::vector<float> expected = added_twice(Determinism::same_bits), found = added_twice(Determinism::fastest);

  // Sums of 1,024 products of normal numbers, 32 large as a rule: f32 sums in another order differ by far less than
  // one.
  double worst = 0.0, largest = 0.0;
  for (std::size_t index = 0; index < expected.size(); ++index) {
    worst = std::max(worst, std::abs(static_cast<double>(found[index]) - static_cast<double>(expected[index])));
    largest = std::max(largest, std::abs(static_cast<double>(expected[index])));
  }
  EXPECT_GT(largest, 100.0);
  EXPECT_LE(worst, 1e-5 * kSide);
}

TEST(Matmul, TheSameBitsComeEveryTime) {
  EXPECT_EQ(added_twice(Determinism::same_bits), added_twice(Determinism::same_bits));
}

}  // namespace
}  // namespace ferula::gpu_test
