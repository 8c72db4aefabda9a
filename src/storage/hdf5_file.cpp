// Opening, closing and walking HDF5 files, and creating datasets.
#include "storage/hdf5_file.hpp"

#include <array>

#include "storage/hdf5_handles.hpp"
#include "storage/hyperslabs.hpp"

namespace ferula {
namespace {

static_assert(sizeof(hid_t) == sizeof(std::int64_t), "HDF5 1.10 or later");

std::vector<hsize_t> sizes_of(std::span<const std::int64_t> shape) { return {shape.begin(), shape.end()}; }

Hdf5Space make_space(std::span<const std::int64_t> shape) {
  const auto sizes = sizes_of(shape);
  return Hdf5Space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr));
}

Hdf5Properties make_intermediate_groups() {
  Hdf5Properties properties(H5Pcreate(H5P_LINK_CREATE));
  H5Pset_create_intermediate_group(properties.get(), 1);
  return properties;
}

/// Adds the mapping of one range: the flattened range is at most three boxes of a matrix (row rest, rows, row begin).
void map_range(hid_t properties, const VirtualRange& range, std::span<const std::int64_t> shape,
               const std::string& where) {
  std::int64_t source_begin = 0;
  for (const Hyperslab& slab : hyperslabs_of(shape, range.offset, range.count)) {
    const Hdf5Space target = make_space(shape);
    const auto start = sizes_of(slab.start);
    const auto extent = sizes_of(slab.extent);
    hdf5_checked(H5Sselect_hyperslab(target.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr),
                 where, "select a part of a virtual dataset");
    const Hdf5Space source = make_space(std::array{range.count});
    const auto first = static_cast<hsize_t>(source_begin);
    const auto length = static_cast<hsize_t>(slab.count());
    hdf5_checked(H5Sselect_hyperslab(source.get(), H5S_SELECT_SET, &first, nullptr, &length, nullptr), where,
                 "select a part of a shard");
    hdf5_checked(H5Pset_virtual(properties, target.get(), range.file.c_str(), range.dataset.c_str(), source.get()),
                 where, "map a part of a virtual dataset");
    source_begin += slab.count();
  }
}

herr_t collect_name(hid_t, const char* name, const H5L_info_t*, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

}  // namespace

void Hdf5ObjectTraits::close(type id) noexcept {
  const Hdf5Call call;
  H5Oclose(id);
}

void Hdf5FileTraits::close(type id) noexcept {
  const Hdf5Call call;
  H5Fclose(id);
}

Hdf5File Hdf5File::create(const std::string& path) {
  const Hdf5Call call;
  return {hdf5_checked(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT), path, "create this file"),
          path};
}

Hdf5File Hdf5File::open(const std::string& path) {
  const Hdf5Call call;
  return {hdf5_checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), path, "open this file as HDF5"), path};
}

bool Hdf5File::has(const std::string& object) const {
  const Hdf5Call call;
  if (object == "/") return true;
  for (std::size_t end = object.find('/', 1);; end = object.find('/', end + 1)) {
    if (H5Lexists(id_.get(), object.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string::npos) return true;
  }
}

std::vector<std::string> Hdf5File::list(const std::string& group) const {
  const Hdf5Call call;
  const Handle<Hdf5ObjectTraits> opened(
      hdf5_checked(H5Oopen(id_.get(), group.c_str(), H5P_DEFAULT), path_, fmt::format("open the group {}", group)));
  std::vector<std::string> names;
  hdf5_checked(H5Literate(opened.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect_name, &names), path_,
               fmt::format("list the group {}", group));
  return names;
}

Hdf5Dataset Hdf5File::create_dataset(const std::string& object, DType dtype, std::span<const std::int64_t> shape,
                                     Hdf5Allocation allocation) {
  const Hdf5Call call;
  const Hdf5Properties properties(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_fill_time(properties.get(), H5D_FILL_TIME_NEVER);
  H5Pset_alloc_time(properties.get(), allocation == Hdf5Allocation::early ? H5D_ALLOC_TIME_EARLY : H5D_ALLOC_TIME_LATE);
  const hid_t id = H5Dcreate2(id_.get(), object.c_str(), hdf5_type_of(dtype).get(), make_space(shape).get(),
                              make_intermediate_groups().get(), properties.get(), H5P_DEFAULT);
  return {hdf5_checked(id, path_, fmt::format("create the dataset {}", object)), fmt::format("{}:{}", path_, object)};
}

Hdf5Dataset Hdf5File::dataset(const std::string& object) const {
  const Hdf5Call call;
  const hid_t id = H5Dopen2(id_.get(), object.c_str(), H5P_DEFAULT);
  return {hdf5_checked(id, path_, fmt::format("open the dataset {}", object)), fmt::format("{}:{}", path_, object)};
}

void Hdf5File::create_virtual_dataset(const std::string& object, DType dtype, std::span<const std::int64_t> shape,
                                      std::span<const VirtualRange> ranges) {
  const Hdf5Call call;
  const std::string where = fmt::format("{}:{}", path_, object);
  const Hdf5Properties properties(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_layout(properties.get(), H5D_VIRTUAL);
  for (const VirtualRange& range : ranges) map_range(properties.get(), range, shape, where);
  const Handle<Hdf5ObjectTraits> created(H5Dcreate2(id_.get(), object.c_str(), hdf5_type_of(dtype).get(),
                                                    make_space(shape).get(), make_intermediate_groups().get(),
                                                    properties.get(), H5P_DEFAULT));
  hdf5_checked(created.get(), where, "create the virtual dataset");
}

void Hdf5File::create_link(const std::string& name, const std::string& object) {
  const Hdf5Call call;
  hdf5_checked(H5Lcreate_soft(object.c_str(), id_.get(), name.c_str(), make_intermediate_groups().get(), H5P_DEFAULT),
               path_, fmt::format("link {} to {}", name, object));
}

void Hdf5File::close() {
  const Hdf5Call call;
  hdf5_checked(H5Fflush(id_.get(), H5F_SCOPE_LOCAL), path_, "write this file");
  hdf5_checked(H5Fclose(id_.release()), path_, "close this file");
}

}  // namespace ferula
