// The table look-ups of the CPU backend against plain double loops.
#include "sample_tensors.hpp"

namespace ferula::test {
namespace {

constexpr std::int64_t kVocabulary = 11, kPositions = 5;

/// Token and position of each row; tokens repeat.
struct Rows {
  TensorView token, position;
};

Rows make_rows(OpBench& bench, std::int64_t rows) {
  Rows result{bench.zeros(DType::i32, {rows}), bench.zeros(DType::i32, {rows})};
  for (std::int64_t row = 0; row < rows; ++row) {
    result.token.as<std::int32_t>()[row] = static_cast<std::int32_t>(row * row % kVocabulary);
    result.position.as<std::int32_t>()[row] = static_cast<std::int32_t>(row % kPositions);
  }
  return result;
}

/// Calls check(bench, rows, width, type) for odd shapes of both types.
template <class Check>
void for_each_case(const Check& check) {
  for (const DType dtype : kComputeTypes)
    for (const auto& [rows, width] :
         std::initializer_list<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {7, 3}, {33, 17}, {65, 129}, {3, 257}}) {
      SCOPED_TRACE(fmt::format("[{}, {}] {}", rows, width, name_of(dtype)));
      OpBench bench;
      check(bench, rows, width, dtype);
    }
}

TEST(Embed, AddsTheRowsOfBothTables) {
  for_each_case([](OpBench& bench, std::int64_t rows, std::int64_t width, DType dtype) {
    const Rows at = make_rows(bench, rows);
    const TensorView table = bench.normals(dtype, {kVocabulary, width});
    for (const TensorView& positions : {bench.normals(dtype, {kPositions, width}), TensorView()}) {
      const TensorView y = bench.zeros(dtype, {rows, width}, 2), expected = bench.clone(y);

      bench.cpu().embed(bench.stream(), at.token, at.position, table, positions, y);

      bench.reference().embed(bench.stream(), at.token, at.position, table, positions, expected);
      expect_same_bits(y, expected);
    }
  });
}

TEST(EmbedBackward, AddsEachRowToItsTokenAndPosition) {
  for_each_case([](OpBench& bench, std::int64_t rows, std::int64_t width, DType dtype) {
    const Rows at = make_rows(bench, rows);
    const TensorView dy = bench.normals(dtype, {rows, width}, 1);
    const TensorView dtable = bench.normals(DType::f32, {kVocabulary, width}), expected_table = bench.clone(dtable);
    const TensorView dpositions = bench.normals(DType::f32, {kPositions, width});
    const TensorView expected_positions = bench.clone(dpositions);

    bench.cpu().embed_backward(bench.stream(), at.token, at.position, dy, dtable, dpositions);

    bench.reference().embed_backward(bench.stream(), at.token, at.position, dy, expected_table, expected_positions);
    expect_same_bits(dtable, expected_table);  // both add in f32, in the order of the rows
    expect_same_bits(dpositions, expected_positions);
  });
}

TEST(EmbedBackward, GivesTheSameBitsOnOneAndTwoThreads) {
  OpBench bench;
  const Rows at = make_rows(bench, 300);
  const TensorView dy = bench.normals(DType::bf16, {300, 513});
  const TensorView tables[] = {bench.zeros(DType::f32, {kVocabulary, 513}),
                               bench.zeros(DType::f32, {kVocabulary, 513})};

  for (const int run : {0, 1}) {
    const ThreadCount threads(run + 1);
    bench.cpu().embed_backward(bench.stream(), at.token, at.position, dy, tables[run], {});
  }

  expect_same_bits(tables[0], tables[1]);
}

TEST(Embed, RefusesTokensOutsideOfTheTable) {
  OpBench bench;
  const TensorView position = bench.values<std::int32_t>({0});
  const TensorView table = bench.normals(DType::f32, {3, 4}), y = bench.zeros(DType::f32, {1, 4});
  for (const std::int32_t token : {-1, 3}) {
    const TensorView tokens = bench.values<std::int32_t>({token});

    EXPECT_ANY_THROW(bench.cpu().embed(bench.stream(), tokens, position, table, {}, y)) << token;
    EXPECT_ANY_THROW(bench.cpu().embed_backward(bench.stream(), tokens, position, y, table, {})) << token;
    EXPECT_ANY_THROW(bench.cpu().gather_rows(bench.stream(), table, tokens, y)) << token;
  }
}

TEST(GatherRows, CopiesTheNamedRows) {
  for_each_case([](OpBench& bench, std::int64_t rows, std::int64_t width, DType dtype) {
    const TensorView x = bench.normals(dtype, {kVocabulary, width}, 3);
    const TensorView row = make_rows(bench, rows).token;
    const TensorView y = bench.zeros(dtype, {rows, width}, 1), expected = bench.clone(y);

    bench.cpu().gather_rows(bench.stream(), x, row, y);

    bench.reference().gather_rows(bench.stream(), x, row, expected);
    expect_same_bits(y, expected);
  });
}

TEST(Embed, NoRowsAreNoWork) {
  OpBench bench;
  const TensorView none = bench.zeros(DType::i32, {0}), y = bench.zeros(DType::f32, {0, 4});
  const TensorView table = bench.normals(DType::f32, {3, 4}), before = bench.clone(table);

  bench.cpu().embed(bench.stream(), none, none, table, table, y);
  bench.cpu().embed_backward(bench.stream(), none, none, y, table, table);
  bench.cpu().gather_rows(bench.stream(), table, none, y);

  expect_same_bits(table, before);
}

}  // namespace
}  // namespace ferula::test
