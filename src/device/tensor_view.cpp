#include "device/tensor_view.hpp"

namespace ferula {

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

TensorView TensorView::reshaped(std::initializer_list<std::int64_t> shape) const {
  TensorView other(data, dtype, shape);
  FERULA_CHECK(contiguous() && other.count() == count(), "cannot view {} elements as {}", count(), other.count());
  return other;
}

}  // namespace ferula
