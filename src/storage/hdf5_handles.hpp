// What every file that calls HDF5 shares: the one lock, handles that close themselves, element types and error texts.
// Only the .cpp files of this folder include it.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <optional>
#include <string>

#include "base/dtype.hpp"
#include "base/handle.hpp"

namespace ferula {

/// Holds the process-wide HDF5 lock and silences the library's own printing while it lives. Simulated ranks are
/// threads and not every build of the library is thread-safe, so each sequence of calls happens under one of these.
class Hdf5Call {
 public:
  Hdf5Call();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

template <herr_t (*Close)(hid_t)>
struct Hdf5Traits {
  using type = hid_t;
  static hid_t invalid() { return H5I_INVALID_HID; }
  static void close(hid_t id) noexcept {
    const Hdf5Call call;
    Close(id);
  }
};
using Hdf5Space = Handle<Hdf5Traits<H5Sclose>>;
using Hdf5Type = Handle<Hdf5Traits<H5Tclose>>;
using Hdf5Properties = Handle<Hdf5Traits<H5Pclose>>;
using Hdf5Attribute = Handle<Hdf5Traits<H5Aclose>>;

/// Throws DataError "`path`: cannot `action`: reason" with the system's reason or the innermost of the library's error
/// stack; CapacityError where the disk is full.
[[noreturn]] void throw_hdf5_error(const std::string& path, const std::string& action);
/// `status`, or throws where it is negative.
template <class Status>
Status hdf5_checked(Status status, const std::string& path, const std::string& action) {
  if (status < 0) throw_hdf5_error(path, action);
  return status;
}

/// The type in files and in memory (all are little-endian): bf16 and f16 are floats of their own layout.
Hdf5Type hdf5_type_of(DType dtype);
/// The dtype of a type in a file; nothing where no dtype matches.
std::optional<DType> dtype_of_hdf5(hid_t type);

}  // namespace ferula
