#include "device/tensor_view.hpp"

namespace ferula {

TensorView::TensorView(std::byte* memory, DType type, std::span<const std::int64_t> shape)
    : data(memory), dtype(type), rank(static_cast<int>(shape.size())) {
  FERULA_CHECK(rank <= kMaxRank, "a view has at most {} dimensions, asked for {}", kMaxRank, rank);
  std::int64_t step = 1;
  for (int axis = rank - 1; axis >= 0; --axis) {
    const auto at = static_cast<std::size_t>(axis);
    dims[at] = shape[at];
    strides[at] = step;
    step *= shape[at];
  }
  FERULA_CHECK(rank == 0 || shape.back() % block_of(type).elements == 0, "rows of {} {} end within a block",
               shape.back(), name_of(type));
}

std::int64_t TensorView::count() const {
  std::int64_t product = rank == 0 ? 0 : 1;
  for (int axis = 0; axis < rank; ++axis) product *= dim(axis);
  return product;
}

bool TensorView::contiguous() const {
  std::int64_t step = 1;
  for (int axis = rank - 1; axis >= 0; --axis) {
    if (dim(axis) != 1 && stride(axis) != step) return false;
    step *= dim(axis);
  }
  return true;
}

TensorView TensorView::rows(std::int64_t begin, std::int64_t length) const {
  FERULA_CHECK(rank >= 1 && begin >= 0 && length >= 0 && begin + length <= dim(0), "rows [{}, {}) of {}", begin,
               begin + length, dim(0));
  TensorView part = *this;
  part.data += bytes_of(dtype, begin * stride(0));
  part.dims[0] = length;
  return part;
}

TensorView TensorView::columns(std::int64_t begin, std::int64_t length) const {
  const int last = rank - 1;
  FERULA_CHECK(rank >= 1 && begin >= 0 && length >= 0 && begin + length <= dim(last), "columns [{}, {}) of {}", begin,
               begin + length, dim(last));
  TensorView part = *this;
  FERULA_CHECK(length * stride(last) % block_of(dtype).elements == 0, "{} columns of {} end within a block", length,
               name_of(dtype));
  part.data += bytes_of(dtype, begin * stride(last));
  part.dims[static_cast<std::size_t>(last)] = length;
  return part;
}

TensorView TensorView::range(std::int64_t begin, std::int64_t length) const {
  FERULA_CHECK(contiguous() && begin >= 0 && length >= 0 && begin + length <= count(), "range [{}, {}) of {}", begin,
               begin + length, count());
  return {data + bytes_of(dtype, begin), dtype, {length}};
}

TensorView TensorView::reshaped(std::initializer_list<std::int64_t> shape) const {
  TensorView other(data, dtype, shape);
  FERULA_CHECK(contiguous() && other.count() == count(), "cannot view {} elements as {}", count(), other.count());
  return other;
}

}  // namespace ferula
