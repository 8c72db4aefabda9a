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
  TensorView(std::byte* memory, DType type, std::span<const std::int64_t> shape)
      : data(memory), dtype(type), rank(static_cast<int>(shape.size())) {
    FERULA_CHECK(rank <= kMaxRank, "a view has at most {} dimensions, asked for {}", kMaxRank, rank);
    std::int64_t step = 1;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const auto at = static_cast<std::size_t>(axis);
      dims[at] = shape[at];
      strides[at] = step;
      step *= shape[at];
    }
    const std::int64_t block = block_of(type).elements;
    FERULA_CHECK(rank == 0 || block == 1 || shape.back() % block == 0, "rows of {} {} end within a block", shape.back(),
                 name_of(type));
  }

  bool empty() const { return data == nullptr || count() == 0; }
  /// Elements (not bytes).
  std::int64_t count() const {
    std::int64_t product = rank == 0 ? 0 : 1;
    for (int axis = 0; axis < rank; ++axis) product *= dim(axis);
    return product;
  }
  std::int64_t bytes() const { return bytes_of(dtype, count()); }
  bool contiguous() const {
    std::int64_t step = 1;
    for (int axis = rank - 1; axis >= 0; --axis) {
      if (dim(axis) != 1 && stride(axis) != step) return false;
      step *= dim(axis);
    }
    return true;
  }
  std::int64_t dim(int axis) const { return dims[static_cast<std::size_t>(axis)]; }
  std::int64_t stride(int axis) const { return strides[static_cast<std::size_t>(axis)]; }

  /// Elements [begin, begin + length) of the first dimension.
  TensorView rows(std::int64_t begin, std::int64_t length) const;
  /// Elements [begin, begin + length) of the last dimension; the result keeps the row stride.
  TensorView columns(std::int64_t begin, std::int64_t length) const;
  /// Elements [begin, begin + length) of a contiguous view, flattened to one dimension.
  TensorView range(std::int64_t begin, std::int64_t length) const {
    FERULA_CHECK(contiguous() && begin >= 0 && length >= 0 && begin + length <= count(), "range [{}, {}) of {}", begin,
                 begin + length, count());
    return {data + bytes_of(dtype, begin), dtype, {length}};
  }
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
