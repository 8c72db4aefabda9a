#include "base/dtype.hpp"

namespace ferula {
namespace {

constexpr std::array<std::string_view, 9> kNames{"f32", "f64", "bf16", "f16", "i8", "u8", "i32", "i64", "i4"};

}  // namespace

std::string_view name_of(DType dtype) { return kNames.at(static_cast<std::size_t>(dtype)); }

DType dtype_named(std::string_view name) {
  for (std::size_t index = 0; index < kNames.size(); ++index)
    if (kNames[index] == name) return static_cast<DType>(index);
  throw DataError(
      fmt::format("expected an element type (f32, f64, bf16, f16, i8, u8, i32, i64 or i4), found '{}'", name));
}

}  // namespace ferula
