// A typed, strided view of memory that somebody else owns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/dtype.hpp"
#include "base/error.hpp"

namespace ferula {

/// Up to four dimensions, row-major by default; a stride is in elements, so a slice of query-key-value is a view. Where
/// elements share bytes (i4), every view begins and ends between blocks.
struct TensorView {
  static constexpr int kMaxRank = 4;

  std::byte* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<std::int64_t, kMaxRank> dims{};
  std::array<std::int64_t, kMaxRank> strides{};

  TensorView() = default;
  /// A contiguous view.
  TensorView(std::byte* memory, DType type, std::initializer_list<std::int64_t> shape)
      : TensorView(memory, type, std::span<const std::int64_t>(shape.begin(), shape.size())) {}
  TensorView(std::byte* memory, DType type, std::span<const std::int64_t> shape);

  bool empty() const { return data == nullptr || count() == 0; }
  /// Elements (not bytes).
  std::int64_t count() const;
  std::int64_t bytes() const { return bytes_of(dtype, count()); }
  bool contiguous() const;
  std::int64_t dim(int axis) const { return dims[static_cast<std::size_t>(axis)]; }
  std::int64_t stride(int axis) const { return strides[static_cast<std::size_t>(axis)]; }

  /// Elements [begin, begin + length) of the first dimension.
  TensorView rows(std::int64_t begin, std::int64_t length) const;
  /// Elements [begin, begin + length) of the last dimension; the result keeps the row stride.
  TensorView columns(std::int64_t begin, std::int64_t length) const;
  /// Elements [begin, begin + length) of a contiguous view, flattened to one dimension.
  TensorView range(std::int64_t begin, std::int64_t length) const;
  /// The same contiguous memory under another shape of equal count.
  TensorView reshaped(std::initializer_list<std::int64_t> shape) const;

  template <class T>
  T* as() const {
    FERULA_CHECK(dtype_of<T> == dtype, "the view holds {}", name_of(dtype));
    return reinterpret_cast<T*>(data);
  }
  /// The elements of a contiguous view.
  template <class T>
  std::span<T> span() const {
    FERULA_CHECK(contiguous(), "a span needs contiguous memory");
    return {as<T>(), static_cast<std::size_t>(count())};
  }
};

}  // namespace ferula
