// HDF5 files for the rest of the program: groups, typed datasets read and written in element ranges, attributes and
// virtual datasets. Errors are DataErrors that name the file, the object and the library's own reasons.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/handle.hpp"
#include "device/tensor_view.hpp"

namespace ferula {

/// Closes any HDF5 object under the library's lock. HDF5's hid_t is a 64-bit integer.
struct Hdf5ObjectTraits {
  using type = std::int64_t;
  static type invalid() { return -1; }
  static void close(type id) noexcept;
};
struct Hdf5FileTraits {
  using type = std::int64_t;
  static type invalid() { return -1; }
  static void close(type id) noexcept;
};

/// When the bytes of a dataset get their place in the file: at the first write, or when it is created, so that
/// `byte_position` is known before anything was written. Never filled.
enum class Hdf5Allocation : std::uint8_t { late, early };

/// A contiguous dataset. Must not outlive its file. Calls from several threads are safe and happen one by one.
class Hdf5Dataset {
 public:
  DType dtype() const { return dtype_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  /// Elements.
  std::int64_t count() const;
  /// Elements [offset, offset + data.count()) of the flattened dataset; `data` is contiguous and has its dtype.
  /// No copy and no conversion. DataError where the file fails; a range or dtype that does not fit is our own mistake.
  void write(std::int64_t offset, TensorView data);
  void read(std::int64_t offset, TensorView data) const;
  /// Where the first byte lies in the file; nothing while unallocated or where the data is not in one piece.
  std::optional<std::int64_t> byte_position() const;
  /// "file:/group/name" for messages.
  const std::string& where() const { return where_; }

 private:
  friend class Hdf5File;
  Hdf5Dataset(std::int64_t id, std::string where);

  Handle<Hdf5ObjectTraits> id_;
  std::string where_;
  DType dtype_ = DType::f32;
  std::vector<std::int64_t> shape_;
};

/// A range of a virtual dataset and where its elements really are.
struct VirtualRange {
  std::string file;         // relative to the folder of the file that holds the virtual dataset
  std::string dataset;      // one-dimensional, of `count` elements
  std::int64_t offset = 0;  // first element within the flattened virtual dataset
  std::int64_t count = 0;
};

/// Owns an open file. Paths of objects are absolute ("/value/blocks/0/norm/weight"); groups come into being by need.
class Hdf5File {
 public:
  /// A new file; one that exists is an error.
  static Hdf5File create(const std::string& path);
  /// For reading only. Bytes from outside are to be verified first: the library can crash on damaged files.
  static Hdf5File open(const std::string& path);

  const std::string& path() const { return path_; }
  bool has(const std::string& object) const;
  /// Names directly below a group, in alphabetical order.
  std::vector<std::string> list(const std::string& group) const;

  Hdf5Dataset create_dataset(const std::string& object, DType dtype, std::span<const std::int64_t> shape,
                             Hdf5Allocation allocation = Hdf5Allocation::late);
  /// Opens a dataset. DataError where it is missing or its elements have no dtype here.
  Hdf5Dataset dataset(const std::string& object) const;
  /// A dataset without data of its own that presents ranges of other files as one tensor.
  void create_virtual_dataset(const std::string& object, DType dtype, std::span<const std::int64_t> shape,
                              std::span<const VirtualRange> ranges);

  /// A second name for an object of this file.
  void create_link(const std::string& name, const std::string& object);

  /// Attributes of the file ("/"), a group or a dataset; each is written once.
  void write_attribute(const std::string& object, const std::string& name, std::string_view text);
  void write_attribute(const std::string& object, const std::string& name, std::int64_t number);
  void write_attribute(const std::string& object, const std::string& name, std::span<const std::int64_t> numbers);
  bool has_attribute(const std::string& object, const std::string& name) const;
  std::string text_attribute(const std::string& object, const std::string& name) const;
  std::int64_t integer_attribute(const std::string& object, const std::string& name) const;
  std::vector<std::int64_t> integers_attribute(const std::string& object, const std::string& name) const;

  /// Writes out and closes, and reports errors, which a destructor cannot. Does not fsync.
  void close();

 private:
  Hdf5File(std::int64_t id, std::string path) : id_(id), path_(std::move(path)) {}

  Handle<Hdf5FileTraits> id_;
  std::string path_;
};

}  // namespace ferula
