#include "base/dtype.hpp"

#include <array>

#include "base/error.hpp"

namespace ferula {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::int64_t bytes;
};
constexpr std::array<DTypeRow, 8> kRows{{{DType::f32, "f32", 4},
                                         {DType::f64, "f64", 8},
                                         {DType::bf16, "bf16", 2},
                                         {DType::f16, "f16", 2},
                                         {DType::i8, "i8", 1},
                                         {DType::u8, "u8", 1},
                                         {DType::i32, "i32", 4},
                                         {DType::i64, "i64", 8}}};

const DTypeRow& row_of(DType dtype) {
  for (const DTypeRow& row : kRows)
    if (row.dtype == dtype) return row;
  throw Error("unknown element type");
}

}  // namespace

std::int64_t bytes_of(DType dtype) { return row_of(dtype).bytes; }
std::string_view name_of(DType dtype) { return row_of(dtype).name; }

DType dtype_named(std::string_view name) {
  for (const DTypeRow& row : kRows)
    if (row.name == name) return row.dtype;
  throw DataError(fmt::format("expected an element type (f32, f64, bf16, f16, i8, u8, i32 or i64), found '{}'", name));
}

}  // namespace ferula
