// Reading and writing element ranges of a dataset.
#include <functional>
#include <numeric>

#include "storage/hdf5_file.hpp"
#include "storage/hdf5_handles.hpp"
#include "storage/hyperslabs.hpp"

namespace ferula {
namespace {

/// Selects the boxes of a flat range one by one, and calls `transfer(memory space, file space, first element)`.
template <class Transfer>
void for_each_box(hid_t dataset, std::span<const std::int64_t> shape, std::int64_t offset, std::int64_t count,
                  Transfer transfer) {
  const Hdf5Space file_space(H5Dget_space(dataset));
  std::int64_t done = 0;
  for (const Hyperslab& slab : hyperslabs_of(shape, offset, count)) {
    const std::vector<hsize_t> start(slab.start.begin(), slab.start.end());
    const std::vector<hsize_t> extent(slab.extent.begin(), slab.extent.end());
    H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr);
    const auto length = static_cast<hsize_t>(slab.count());
    const Hdf5Space memory_space(H5Screate_simple(1, &length, nullptr));
    transfer(memory_space.get(), file_space.get(), done);
    done += slab.count();
  }
}

}  // namespace

Hdf5Dataset::Hdf5Dataset(std::int64_t id, std::string where) : id_(id), where_(std::move(where)) {
  const Hdf5Type type(H5Dget_type(id_.get()));
  const std::optional<DType> known = dtype_of_hdf5(type.get());
  if (!known)
    throw DataError(
        fmt::format("{}: expected elements of f32, f64, bf16, f16, i8, u8, i32 or i64, found another type; "
                    "convert the dataset",
                    where_));
  dtype_ = *known;
  const Hdf5Space space(H5Dget_space(id_.get()));
  std::vector<hsize_t> sizes(
      static_cast<std::size_t>(hdf5_checked(H5Sget_simple_extent_ndims(space.get()), where_, "read the shape")));
  H5Sget_simple_extent_dims(space.get(), sizes.data(), nullptr);
  shape_.assign(sizes.begin(), sizes.end());
}

std::int64_t Hdf5Dataset::count() const {
  return std::accumulate(shape_.begin(), shape_.end(), std::int64_t{1}, std::multiplies<>());
}

void Hdf5Dataset::write(std::int64_t offset, TensorView data) {
  FERULA_CHECK(data.dtype == dtype_ && data.contiguous(), "{} holds {}, given {}", where_, name_of(dtype_),
               name_of(data.dtype));
  const Hdf5Call call;
  const Hdf5Type type = hdf5_type_of(dtype_);
  for_each_box(id_.get(), shape_, offset, data.count(), [&](hid_t memory, hid_t file, std::int64_t first) {
    hdf5_checked(H5Dwrite(id_.get(), type.get(), memory, file, H5P_DEFAULT, data.data + first * bytes_of(dtype_)),
                 where_, "write");
  });
}

void Hdf5Dataset::read(std::int64_t offset, TensorView data) const {
  FERULA_CHECK(data.dtype == dtype_ && data.contiguous(), "{} holds {}, asked for {}", where_, name_of(dtype_),
               name_of(data.dtype));
  const Hdf5Call call;
  const Hdf5Type type = hdf5_type_of(dtype_);
  for_each_box(id_.get(), shape_, offset, data.count(), [&](hid_t memory, hid_t file, std::int64_t first) {
    hdf5_checked(H5Dread(id_.get(), type.get(), memory, file, H5P_DEFAULT, data.data + first * bytes_of(dtype_)),
                 where_, "read");
  });
}

std::optional<std::int64_t> Hdf5Dataset::byte_position() const {
  const Hdf5Call call;
  const haddr_t position = H5Dget_offset(id_.get());
  H5Eclear2(H5E_DEFAULT);
  if (position == HADDR_UNDEF) return std::nullopt;
  return static_cast<std::int64_t>(position);
}

}  // namespace ferula
