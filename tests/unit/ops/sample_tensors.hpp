// Tensors of random numbers and comparisons for the tests of operations: each test owns one bench with its device.
#pragma once

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/philox.hpp"
#include "device/device.hpp"
#include "ops/ops.hpp"
#include "support/elements.hpp"
#include "support/reference_ops.hpp"

namespace ferula::test {

/// A device, the CPU backend, the reference and the tensors of one test.
class OpBench {
 public:
  OpBench()
      : device_(make_cpu_device(ledger_)),
        stream_(device_->make_stream()),
        cpu_(make_cpu_ops(*device_)),
        reference_(make_reference_ops()) {}

  MemoryLedger& ledger() { return ledger_; }
  Device& device() { return *device_; }
  Stream& stream() { return *stream_; }
  Ops& cpu() { return *cpu_; }
  Ops& reference() { return *reference_; }

  /// Zeros; rows are `gap` elements further apart than they are long.
  TensorView zeros(DType dtype, std::initializer_list<std::int64_t> shape, std::int64_t gap = 0) {
    TensorView view(nullptr, dtype, shape);
    const std::int64_t row = view.rank > 1 ? view.stride(0) + gap : 1;
    const std::int64_t elements = view.rank > 1 ? view.dim(0) * row : view.count();
    buffers_.push_back(device_->allocate(std::max<std::int64_t>(1, elements) * bytes_of(dtype), MemoryKind::buffers));
    view.data = buffers_.back().data();
    if (view.rank > 1) view.strides[0] = row;
    return view;
  }
  /// Standard normal numbers, each tensor others.
  TensorView normals(DType dtype, std::initializer_list<std::int64_t> shape, std::int64_t gap = 0) {
    const TensorView view = zeros(dtype, shape, gap);
    const Elements elements(view);
    ++tensors_;
    for (std::int64_t index = 0; index < view.count(); ++index)
      elements.flat_set(normal(tensors_, static_cast<std::uint64_t>(index)), index);
    return view;
  }
  template <class T>
  TensorView values(const std::vector<T>& list) {
    const TensorView view = zeros(dtype_of<T>, {static_cast<std::int64_t>(list.size())});
    std::copy(list.begin(), list.end(), view.as<T>());
    return view;
  }
  /// A copy of equal strides.
  TensorView clone(const TensorView& view) {
    TensorView copy = view;
    if (view.empty()) return copy;
    const std::int64_t elements = view.rank > 1 ? view.dim(0) * view.stride(0) : view.count();
    buffers_.push_back(device_->allocate(elements * bytes_of(view.dtype), MemoryKind::buffers));
    copy.data = buffers_.back().data();
    std::memcpy(copy.data, view.data, static_cast<std::size_t>(elements * bytes_of(view.dtype)));
    return copy;
  }

 private:
  MemoryLedger ledger_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Ops> cpu_, reference_;
  std::vector<Buffer> buffers_;
  std::uint64_t tensors_ = 0;
};

/// The largest relative rounding error of one value of that type.
inline double unit_of(DType dtype) { return dtype == DType::bf16 ? 0x1p-8 : 0x1p-24; }

/// Each element lies within `roundings` rounding errors: of its type relative to |expected|, and of f32, in which the
/// backend computes, relative to `scale`. A NaN must meet a NaN, an infinity the same one.
inline void expect_close(const TensorView& actual, const TensorView& expected, double roundings, double scale = 1.0) {
  const Elements found(actual), wanted(expected);
  ASSERT_EQ(actual.count(), expected.count());
  for (std::int64_t index = 0; index < actual.count(); ++index) {
    const double a = found.flat_at(index), b = wanted.flat_at(index);
    if (std::isnan(b) || std::isinf(b)) {
      ASSERT_TRUE(std::isnan(b) ? std::isnan(a) : a == b) << "element " << index << ": " << a << " for " << b;
      continue;
    }
    ASSERT_LE(std::abs(a - b), roundings * (unit_of(actual.dtype) * std::abs(b) + unit_of(DType::f32) * scale))
        << "element " << index << ": " << a << " for " << b;
  }
}

/// All elements are equal bit for bit.
inline void expect_same_bits(const TensorView& actual, const TensorView& expected) {
  ASSERT_EQ(actual.count(), expected.count());
  const Elements found(actual), wanted(expected);
  for (std::int64_t index = 0; index < actual.count(); ++index)
    ASSERT_EQ(std::bit_cast<std::uint64_t>(found.flat_at(index)), std::bit_cast<std::uint64_t>(wanted.flat_at(index)))
        << "element " << index;
}

/// Sets the number of OpenMP threads while it lives.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadCount() { omp_set_num_threads(before_); }

 private:
  int before_;
};

inline constexpr DType kComputeTypes[] = {DType::f32, DType::bf16};

}  // namespace ferula::test
