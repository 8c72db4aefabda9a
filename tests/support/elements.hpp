// Reads and writes single elements of any view as double: what the plain references and the comparisons are made of.
#pragma once

#include <array>
#include <cstdint>

#include "device/tensor_view.hpp"

namespace ferula::test {

/// Elements of a view of up to four dimensions, whatever its strides; any of f64, f32, bf16, i64, i32.
/// Indices beyond the view's rank are ignored.
class Elements {
 public:
  explicit Elements(const TensorView& view) : view_(view) {}

  double at(std::int64_t i, std::int64_t j = 0, std::int64_t k = 0, std::int64_t l = 0) const {
    const std::byte* place = address(i, j, k, l);
    switch (view_.dtype) {
      case DType::f64:
        return *reinterpret_cast<const double*>(place);
      case DType::f32:
        return *reinterpret_cast<const float*>(place);
      case DType::bf16:
        return static_cast<float>(*reinterpret_cast<const bf16*>(place));
      case DType::i64:
        return static_cast<double>(*reinterpret_cast<const std::int64_t*>(place));
      case DType::i32:
        return *reinterpret_cast<const std::int32_t*>(place);
      default:
        FERULA_CHECK(false, "no elements of {}", name_of(view_.dtype));
    }
    return 0;
  }

  /// Rounds to the view's type.
  void set(double value, std::int64_t i, std::int64_t j = 0, std::int64_t k = 0, std::int64_t l = 0) const {
    std::byte* place = address(i, j, k, l);
    switch (view_.dtype) {
      case DType::f64:
        *reinterpret_cast<double*>(place) = value;
        break;
      case DType::f32:
        *reinterpret_cast<float*>(place) = static_cast<float>(value);
        break;
      case DType::bf16:
        *reinterpret_cast<bf16*>(place) = bf16(static_cast<float>(value));
        break;
      case DType::i64:
        *reinterpret_cast<std::int64_t*>(place) = static_cast<std::int64_t>(value);
        break;
      case DType::i32:
        *reinterpret_cast<std::int32_t*>(place) = static_cast<std::int32_t>(value);
        break;
      default:
        FERULA_CHECK(false, "no elements of {}", name_of(view_.dtype));
    }
  }

  void add(double value, std::int64_t i, std::int64_t j = 0, std::int64_t k = 0, std::int64_t l = 0) const {
    set(at(i, j, k, l) + value, i, j, k, l);
  }

  std::int64_t integer(std::int64_t i) const {
    return view_.dtype == DType::i64 ? *reinterpret_cast<const std::int64_t*>(address(i, 0, 0, 0))
                                     : static_cast<std::int64_t>(at(i));
  }
  std::int64_t dim(int axis) const { return view_.dim(axis); }
  bool empty() const { return view_.empty(); }
  std::int64_t count() const { return view_.count(); }

  /// The multi-index of the `flat`-th element in row-major order.
  std::array<std::int64_t, 4> index(std::int64_t flat) const {
    std::array<std::int64_t, 4> result{};
    for (int axis = view_.rank - 1; axis >= 0; --axis) {
      result[static_cast<std::size_t>(axis)] = flat % view_.dim(axis);
      flat /= view_.dim(axis);
    }
    return result;
  }
  double flat_at(std::int64_t flat) const {
    const auto where = index(flat);
    return at(where[0], where[1], where[2], where[3]);
  }
  void flat_set(double value, std::int64_t flat) const {
    const auto where = index(flat);
    set(value, where[0], where[1], where[2], where[3]);
  }

 private:
  std::byte* address(std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t l) const {
    const std::int64_t offset = i * view_.strides[0] + j * view_.strides[1] + k * view_.strides[2] +
                                l * view_.strides[3];  // strides beyond the rank are 0
    return view_.data + offset * bytes_of(view_.dtype);
  }

  TensorView view_;
};

}  // namespace ferula::test
