// Attributes of files, groups and datasets: UTF-8 text, one integer, a list of integers.
#include "storage/hdf5_file.hpp"
#include "storage/hdf5_handles.hpp"

namespace ferula {
namespace {

std::string attribute_of(const std::string& object, const std::string& name) {
  return fmt::format("the attribute '{}' of {}", name, object);
}

void write_new(hid_t file, const std::string& path, const std::string& object, const std::string& name, hid_t type,
               const Hdf5Space& space, const void* value) {
  const Hdf5Attribute attribute(
      H5Acreate_by_name(file, object.c_str(), name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  hdf5_checked(attribute.get(), path, "create " + attribute_of(object, name));
  hdf5_checked(H5Awrite(attribute.get(), type, value), path, "write " + attribute_of(object, name));
}

Hdf5Attribute open_attribute(hid_t file, const std::string& path, const std::string& object, const std::string& name) {
  return Hdf5Attribute(hdf5_checked(H5Aopen_by_name(file, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), path,
                                    "open " + attribute_of(object, name)));
}

/// A fixed-length UTF-8 text; HDF5 has no text of length zero, so an empty one is a single padding byte.
Hdf5Type text_type(std::size_t bytes) {
  Hdf5Type type(H5Tcopy(H5T_C_S1));
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_size(type.get(), std::max<std::size_t>(bytes, 1));
  return type;
}

/// A text as h5py writes it; the library owns its memory.
std::string variable_text(const Hdf5Attribute& attribute, const std::string& path, const std::string& what) {
  const Hdf5Space space(H5Aget_space(attribute.get()));
  if (H5Sget_simple_extent_type(space.get()) != H5S_SCALAR)
    throw DataError(fmt::format("{}: expected one text in {}", path, what));
  const Hdf5Type type(H5Aget_type(attribute.get()));
  char* text = nullptr;
  hdf5_checked(H5Aread(attribute.get(), type.get(), static_cast<void*>(&text)), path, "read " + what);
  const std::string copy = text == nullptr ? "" : text;
  H5free_memory(text);
  return copy;
}

}  // namespace

void Hdf5File::write_attribute(const std::string& object, const std::string& name, std::string_view text) {
  const Hdf5Call call;
  const std::string terminated(text);
  write_new(id_.get(), path_, object, name, text_type(text.size()).get(), Hdf5Space(H5Screate(H5S_SCALAR)),
            terminated.c_str());
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name, std::int64_t number) {
  const Hdf5Call call;
  write_new(id_.get(), path_, object, name, H5T_STD_I64LE, Hdf5Space(H5Screate(H5S_SCALAR)), &number);
}

void Hdf5File::write_attribute(const std::string& object, const std::string& name,
                               std::span<const std::int64_t> numbers) {
  const Hdf5Call call;
  const auto length = static_cast<hsize_t>(numbers.size());
  write_new(id_.get(), path_, object, name, H5T_STD_I64LE, Hdf5Space(H5Screate_simple(1, &length, nullptr)),
            numbers.data());
}

bool Hdf5File::has_attribute(const std::string& object, const std::string& name) const {
  const Hdf5Call call;
  const bool found = H5Aexists_by_name(id_.get(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
  H5Eclear2(H5E_DEFAULT);
  return found;
}

std::string Hdf5File::text_attribute(const std::string& object, const std::string& name) const {
  const Hdf5Call call;
  const Hdf5Attribute attribute = open_attribute(id_.get(), path_, object, name);
  const Hdf5Type type(H5Aget_type(attribute.get()));
  if (H5Tget_class(type.get()) != H5T_STRING)
    throw DataError(fmt::format("{}: expected a text in {}", path_, attribute_of(object, name)));
  if (H5Tis_variable_str(type.get()) > 0) return variable_text(attribute, path_, attribute_of(object, name));
  const std::size_t bytes = H5Tget_size(type.get());
  std::string text(bytes, '\0');
  hdf5_checked(H5Aread(attribute.get(), text_type(bytes).get(), text.data()), path_,
               "read " + attribute_of(object, name));
  text.erase(text.find_last_not_of('\0') + 1);
  return text;
}

std::int64_t Hdf5File::integer_attribute(const std::string& object, const std::string& name) const {
  const std::vector<std::int64_t> numbers = integers_attribute(object, name);
  if (numbers.size() != 1)
    throw DataError(
        fmt::format("{}: expected one integer in {}, found {}", path_, attribute_of(object, name), numbers.size()));
  return numbers.front();
}

std::vector<std::int64_t> Hdf5File::integers_attribute(const std::string& object, const std::string& name) const {
  const Hdf5Call call;
  const Hdf5Attribute attribute = open_attribute(id_.get(), path_, object, name);
  const Hdf5Type type(H5Aget_type(attribute.get()));
  if (H5Tget_class(type.get()) != H5T_INTEGER)
    throw DataError(fmt::format("{}: expected integers in {}", path_, attribute_of(object, name)));
  const Hdf5Space space(H5Aget_space(attribute.get()));
  const hssize_t count =
      hdf5_checked(H5Sget_simple_extent_npoints(space.get()), path_, "read the size of " + attribute_of(object, name));
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
  hdf5_checked(H5Aread(attribute.get(), H5T_STD_I64LE, numbers.data()), path_, "read " + attribute_of(object, name));
  return numbers;
}

}  // namespace ferula
