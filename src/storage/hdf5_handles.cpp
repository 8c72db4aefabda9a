// The HDF5 lock, error texts and element types.
#include "storage/hdf5_handles.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <vector>

#include "base/error.hpp"
#include "storage/system_error.hpp"

namespace ferula {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little-endian and are read without conversion");

std::recursive_mutex& hdf5_mutex() {
  static std::recursive_mutex mutex;
  // At exit the library (1.10.8) would try again to close what it could not close on a full disk, and crash.
  [[maybe_unused]] static const herr_t asked = H5dont_atexit();
  return mutex;
}

herr_t collect_reason(unsigned, const H5E_error2_t* error, void* reasons) {
  static_cast<std::vector<std::string>*>(reasons)->emplace_back(error->desc == nullptr ? "" : error->desc);
  return 0;
}

/// The library's error stack, the innermost reason first, and clears it.
std::vector<std::string> take_reasons() {
  std::vector<std::string> reasons;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect_reason, &reasons);
  H5Eclear2(H5E_DEFAULT);
  return reasons;
}

/// The errno in "…, errno = 28, error message = …", as the library's driver words a failed system call; 0 elsewhere.
int system_code_in(const std::string& reason) {
  constexpr std::string_view kMark = "errno = ";
  const std::size_t mark = reason.find(kMark);
  return mark == std::string::npos ? 0 : std::atoi(reason.c_str() + mark + kMark.size());
}

/// Without bytes that a damaged file has lent to the message.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char letter) { return letter < ' ' || letter > '~'; }, '?');
  return text;
}

/// A little-endian IEEE-like float of 16 bits.
Hdf5Type make_half(std::size_t exponent_bits, std::size_t mantissa_bits, std::size_t bias) {
  Hdf5Type type(H5Tcopy(H5T_IEEE_F32LE));
  H5Tset_fields(type.get(), 15, mantissa_bits, exponent_bits, 0, mantissa_bits);
  H5Tset_size(type.get(), 2);
  H5Tset_ebias(type.get(), bias);
  return type;
}

}  // namespace

Hdf5Call::Hdf5Call() : lock_(hdf5_mutex()) { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

void throw_hdf5_error(const std::string& path, const std::string& action) {
  const std::vector<std::string> reasons = take_reasons();
  for (const std::string& reason : reasons)
    if (const int code = system_code_in(reason); code != 0) {
      if (is_full(code)) throw_system_error(code, path, action);
      throw DataError(system_error_text(code, path, action));
    }
  throw DataError(fmt::format("{}: cannot {}: HDF5 says '{}'; the file is damaged, or is something else", path, action,
                              reasons.empty() ? "nothing" : printable(reasons.front())));
}

Hdf5Type hdf5_type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return Hdf5Type(H5Tcopy(H5T_IEEE_F32LE));
    case DType::f64:
      return Hdf5Type(H5Tcopy(H5T_IEEE_F64LE));
    case DType::bf16:
      return make_half(8, 7, 127);
    case DType::f16:
      return make_half(5, 10, 15);
    case DType::i8:
      return Hdf5Type(H5Tcopy(H5T_STD_I8LE));
    case DType::u8:
      return Hdf5Type(H5Tcopy(H5T_STD_U8LE));
    case DType::i32:
      return Hdf5Type(H5Tcopy(H5T_STD_I32LE));
    case DType::i64:
      return Hdf5Type(H5Tcopy(H5T_STD_I64LE));
    case DType::i4:
      throw DataError("HDF5 has no type of two elements to a byte: i4 is kept as the u8 of its bytes");
  }
  throw Error("unknown element type");
}

std::optional<DType> dtype_of_hdf5(hid_t type) {
  constexpr std::array kAll{DType::f32, DType::f64, DType::bf16, DType::f16,
                            DType::i8,  DType::u8,  DType::i32,  DType::i64};
  for (const DType dtype : kAll)
    if (H5Tequal(type, hdf5_type_of(dtype).get()) > 0) return dtype;
  return std::nullopt;
}

}  // namespace ferula
