#include "support/op_case.hpp"

#include <algorithm>
#include <cstring>
#include <ostream>

#include "base/philox.hpp"
#include "support/elements.hpp"

namespace ferula::test {
namespace {

constexpr int kGapByte = 0x5b;

bool floating(DType dtype) { return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16; }

/// A view of `shape` whose entries of the first dimension lie `row_gap` elements further apart than they must.
TensorView gapped(std::byte* data, DType dtype, const TensorSpec& spec) {
  TensorView view(data, dtype, spec.shape);
  if (view.rank > 0) view.strides[0] += spec.row_gap;
  return view;
}

std::int64_t memory_bytes(const TensorView& view) {
  return view.rank == 0 ? 0 : std::max<std::int64_t>(1, view.dim(0)) * view.stride(0) * bytes_of(view.dtype);
}

void fill_first(const TensorSpec& spec, const TensorView& view) {
  const Elements elements(view);
  const std::uint64_t key = random_key(7, spec.name);
  FERULA_CHECK(spec.values.empty() || std::cmp_equal(spec.values.size(), view.count()), "{} values for {} elements",
               spec.values.size(), view.count());
  for (std::int64_t index = 0; index < view.count(); ++index) {
    const double value = spec.values.empty() ? spec.deviation * normal(key, static_cast<std::uint64_t>(index))
                                             : spec.values[static_cast<std::size_t>(index)];
    elements.flat_set(value, index);
  }
  if (spec.dtype != DType::bf16 || view.dtype == DType::bf16) return;
  for (std::int64_t index = 0; index < view.count(); ++index)  // a wider copy holds what the declared type would
    elements.flat_set(static_cast<float>(bf16(static_cast<float>(elements.flat_at(index)))), index);
}

}  // namespace

TensorSet::TensorSet(Device& device, const std::vector<TensorSpec>& specs, Precision precision) : specs_(specs) {
  for (const TensorSpec& spec : specs_) {
    const DType dtype = precision == Precision::f64 && floating(spec.dtype) ? DType::f64 : spec.dtype;
    const std::int64_t bytes = memory_bytes(gapped(nullptr, dtype, spec));
    Tensor& tensor = tensors_[spec.name];
    tensor.memory = device.allocate(bytes, MemoryKind::buffers);
    if (bytes > 0) std::memset(tensor.memory.data(), kGapByte, static_cast<std::size_t>(bytes));
    tensor.view = gapped(tensor.memory.data(), dtype, spec);
    fill_first(spec, tensor.view);
  }
}

TensorSet::TensorSet(Device& device, Stream& stream, const TensorSet& host) : specs_(host.specs_) {
  for (const TensorSpec& spec : specs_) {
    const Tensor& from = host.tensors_.at(spec.name);
    Tensor& tensor = tensors_[spec.name];
    tensor.memory = spec.shared ? device.allocate_shared(from.memory.bytes(), MemoryKind::buffers)
                                : device.allocate(from.memory.bytes(), MemoryKind::buffers);
    tensor.view = from.view;
    tensor.view.data = tensor.memory.data();
    if (from.memory.bytes() > 0) device.copy(stream, from.memory.data(), tensor.memory.data(), from.memory.bytes());
  }
  stream.synchronize();
}

void TensorSet::take_back(Device& device, Stream& stream, const TensorSet& other) {
  for (const auto& [name, tensor] : tensors_) {
    const auto from = other.tensors_.find(name);
    FERULA_CHECK(from != other.tensors_.end() && from->second.memory.bytes() == tensor.memory.bytes(),
                 "{} is another tensor there", name);
    if (tensor.memory.bytes() > 0)
      device.copy(stream, from->second.memory.data(), tensor.memory.data(), tensor.memory.bytes());
  }
  stream.synchronize();
}

std::span<const std::byte> TensorSet::bytes_of_tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  FERULA_CHECK(found != tensors_.end(), "no tensor {} in this case", name);
  return {found->second.memory.data(), static_cast<std::size_t>(found->second.memory.bytes())};
}

TensorView TensorSet::operator[](const std::string& name) const {
  const auto found = tensors_.find(name);
  FERULA_CHECK(found != tensors_.end(), "no tensor {} in this case", name);
  return found->second.view;
}

TensorView TensorSet::optional(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? TensorView() : found->second.view;
}

void TensorSet::copy_from(const TensorSet& other) {
  for (const auto& [name, tensor] : tensors_) {
    const Elements from(other[name]), to(tensor.view);
    for (std::int64_t index = 0; index < from.count(); ++index) to.flat_set(from.flat_at(index), index);
  }
}

bool TensorSet::gaps_untouched() const {
  for (const TensorSpec& spec : specs_) {
    const TensorView view = (*this)[spec.name];
    if (spec.row_gap == 0) continue;
    const std::int64_t gap = spec.row_gap * bytes_of(view.dtype);
    for (std::int64_t row = 0; row < view.dim(0); ++row) {
      const std::byte* end = view.data + (row + 1) * view.stride(0) * bytes_of(view.dtype);
      if (std::any_of(end - gap, end, [](std::byte byte) { return byte != std::byte{kGapByte}; })) return false;
    }
  }
  return true;
}

void PrintTo(const OpCase& op_case, std::ostream* stream) { *stream << op_case.name; }

double OpCase::bytes() const {
  double sum = 0;
  for (const TensorSpec& spec : tensors) {
    if (spec.role == Role::saved) continue;
    const double touches = spec.role == Role::inout ? 2 : 1;
    sum += touches * static_cast<double>(TensorView(nullptr, spec.dtype, spec.shape).bytes());
  }
  return sum;
}

}  // namespace ferula::test
