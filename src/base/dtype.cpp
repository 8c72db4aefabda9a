#include "base/dtype.hpp"

#include <array>

#include "base/error.hpp"

namespace ferula {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  DTypeBlock block;
};
constexpr std::array<DTypeRow, 9> kRows{{{DType::f32, "f32", {1, 4}},
                                         {DType::f64, "f64", {1, 8}},
                                         {DType::bf16, "bf16", {1, 2}},
                                         {DType::f16, "f16", {1, 2}},
                                         {DType::i8, "i8", {1, 1}},
                                         {DType::u8, "u8", {1, 1}},
                                         {DType::i32, "i32", {1, 4}},
                                         {DType::i64, "i64", {1, 8}},
                                         {DType::i4, "i4", {2, 1}}}};

const DTypeRow& row_of(DType dtype) {
  for (const DTypeRow& row : kRows)
    if (row.dtype == dtype) return row;
  throw Error("unknown element type");
}

}  // namespace

DTypeBlock block_of(DType dtype) { return row_of(dtype).block; }

std::int64_t bytes_of(DType dtype, std::int64_t count) {
  const DTypeBlock block = block_of(dtype);
  FERULA_CHECK(count % block.elements == 0, "{} elements of {} are not whole blocks of {}", count, name_of(dtype),
               block.elements);
  return count / block.elements * block.bytes;
}

std::int64_t bytes_of(DType dtype) { return bytes_of(dtype, 1); }
std::string_view name_of(DType dtype) { return row_of(dtype).name; }

DType dtype_named(std::string_view name) {
  for (const DTypeRow& row : kRows)
    if (row.name == name) return row.dtype;
  throw DataError(
      fmt::format("expected an element type (f32, f64, bf16, f16, i8, u8, i32, i64 or i4), found '{}'", name));
}

}  // namespace ferula
