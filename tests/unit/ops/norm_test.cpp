// The norms of the CPU backend against plain double loops.
#include <limits>

#include "sample_tensors.hpp"

namespace ferula::test {
namespace {

struct Case {
  NormKind kind;
  DType dtype;
  std::int64_t rows, width;
};

/// Calls check(bench, case) for both norms, both types and odd shapes.
template <class Check>
void for_each_case(const Check& check) {
  for (const NormKind kind : {NormKind::layer, NormKind::rms})
    for (const DType dtype : kComputeTypes)
      for (const auto& [rows, width] : std::initializer_list<std::pair<std::int64_t, std::int64_t>>{
               {1, 1}, {1, 7}, {3, 17}, {65, 129}, {130, 64}, {2, 1025}}) {
        SCOPED_TRACE(
            fmt::format("{} [{}, {}] {}", kind == NormKind::layer ? "layer" : "rms", rows, width, name_of(dtype)));
        OpBench bench;
        check(bench, Case{kind, dtype, rows, width});
      }
}

/// Rounding of the mean, the deviation and the scaled value; sums of `width` terms add their own.
constexpr double kRoundings = 8.0;

TEST(ResidualNorm, IsTheReference) {
  for_each_case([](OpBench& bench, const Case& each) {
    const NormSpec spec{.kind = each.kind, .eps = 1e-5f};
    const TensorView residual = bench.normals(each.dtype, {each.rows, each.width}, 3);
    const TensorView delta = each.rows == 3 ? TensorView() : bench.normals(each.dtype, {each.rows, each.width});
    const TensorView weight = bench.normals(each.dtype, {each.width});
    const TensorView bias = each.kind == NormKind::rms ? TensorView() : bench.normals(each.dtype, {each.width});
    const TensorView y = bench.zeros(each.dtype, {each.rows, each.width}), expected_y = bench.clone(y);
    const TensorView statistics = bench.zeros(DType::f32, {each.rows, 2}), expected = bench.clone(statistics);
    const TensorView expected_residual = bench.clone(residual);

    bench.cpu().residual_norm(bench.stream(), spec, residual, delta, weight, bias, y, statistics);

    bench.reference().residual_norm(bench.stream(), spec, expected_residual, delta, weight, bias, expected_y, expected);
    expect_same_bits(residual, expected_residual);
    expect_close(statistics, expected, kRoundings);
    expect_close(y, expected_y, kRoundings, 4.0);
  });
}

TEST(NormBackward, IsTheReference) {
  for_each_case([](OpBench& bench, const Case& each) {
    const NormSpec spec{.kind = each.kind, .eps = 1e-2f};  // large enough that a row of one element is well conditioned
    const TensorView x = bench.normals(each.dtype, {each.rows, each.width}, 1);
    const TensorView dy = bench.normals(each.dtype, {each.rows, each.width}, 2);
    const TensorView weight = bench.normals(each.dtype, {each.width});
    const TensorView scratch = bench.zeros(each.dtype, {each.rows, each.width});
    const TensorView statistics = bench.zeros(DType::f32, {each.rows, 2});
    bench.cpu().residual_norm(bench.stream(), spec, x, {}, weight, {}, scratch, statistics);
    for (const Accumulate accumulate : {Accumulate::overwrite, Accumulate::add}) {
      const TensorView dx = bench.normals(each.dtype, {each.rows, each.width});
      const TensorView dweight = bench.normals(DType::f32, {each.width});
      const TensorView dbias = each.kind == NormKind::rms ? TensorView() : bench.normals(DType::f32, {each.width});
      const TensorView expected_dx = bench.clone(dx), expected_dweight = bench.clone(dweight);
      const TensorView expected_dbias = bench.clone(dbias);

      bench.cpu().norm_backward(bench.stream(), spec, dy, x, weight, statistics, dx, accumulate, dweight, dbias);

      bench.reference().norm_backward(bench.stream(), spec, dy, x, weight, statistics, expected_dx, accumulate,
                                      expected_dweight, expected_dbias);
      expect_close(dx, expected_dx, kRoundings, 16.0);
      expect_close(dweight, expected_dweight, kRoundings, std::sqrt(static_cast<double>(each.rows)) * 4);
      if (!dbias.empty())
        expect_close(dbias, expected_dbias, kRoundings, std::sqrt(static_cast<double>(each.rows)) * 4);
    }
  });
}

TEST(NormBackward, SkipsGradientsThatNobodyWants) {
  OpBench bench;
  const TensorView x = bench.normals(DType::f32, {4, 8}), dx = bench.zeros(DType::f32, {4, 8});
  const TensorView weight = bench.normals(DType::f32, {8}), statistics = bench.normals(DType::f32, {4, 2});
  const TensorView expected = bench.clone(dx);

  bench.cpu().norm_backward(bench.stream(), {}, x, x, weight, statistics, dx, Accumulate::overwrite, {}, {});

  bench.reference().norm_backward(bench.stream(), {}, x, x, weight, statistics, expected, Accumulate::overwrite, {},
                                  {});
  expect_close(dx, expected, kRoundings, 64.0);
}

TEST(NormBackward, GivesTheSameBitsOnOneAndTwoThreads) {
  for (const DType dtype : kComputeTypes) {
    OpBench bench;
    const TensorView x = bench.normals(dtype, {1111, 129}), dy = bench.normals(dtype, {1111, 129});
    const TensorView weight = bench.normals(dtype, {129}), statistics = bench.normals(DType::f32, {1111, 2});
    TensorView dx[2], dweight[2], dbias[2];

    for (const int run : {0, 1}) {
      const ThreadCount threads(run + 1);
      dx[run] = bench.zeros(dtype, {1111, 129});
      dweight[run] = bench.zeros(DType::f32, {129});
      dbias[run] = bench.zeros(DType::f32, {129});
      bench.cpu().norm_backward(bench.stream(), {}, dy, x, weight, statistics, dx[run], Accumulate::overwrite,
                                dweight[run], dbias[run]);
    }

    expect_same_bits(dx[0], dx[1]);
    expect_same_bits(dweight[0], dweight[1]);
    expect_same_bits(dbias[0], dbias[1]);
  }
}

TEST(NormBackward, AllocatesInTheFirstCallOnly) {
  OpBench bench;
  const TensorView x = bench.normals(DType::f32, {40, 33}), dx = bench.zeros(DType::f32, {40, 33});
  const TensorView weight = bench.normals(DType::f32, {33}), statistics = bench.normals(DType::f32, {40, 2});
  const TensorView dweight = bench.zeros(DType::f32, {33}), dbias = bench.zeros(DType::f32, {33});
  const auto step = [&] {
    bench.cpu().norm_backward(bench.stream(), {}, x, x, weight, statistics, dx, Accumulate::add, dweight, dbias);
  };

  step();
  const std::int64_t allocations = bench.ledger().allocations();
  step();

  EXPECT_EQ(bench.ledger().allocations(), allocations);
}

TEST(ResidualNorm, ZeroRowsDoNothing) {
  OpBench bench;
  const TensorView x = bench.zeros(DType::f32, {0, 8}), weight = bench.normals(DType::f32, {8});
  const TensorView statistics = bench.zeros(DType::f32, {0, 2}), dweight = bench.zeros(DType::f32, {8});
  const TensorView before = bench.clone(dweight);

  bench.cpu().residual_norm(bench.stream(), {}, x, {}, weight, weight, x, statistics);
  bench.cpu().norm_backward(bench.stream(), {}, x, x, weight, statistics, x, Accumulate::add, dweight, dweight);

  expect_same_bits(dweight, before);
}

TEST(ResidualNorm, NanStaysInItsRow) {
  OpBench bench;
  const TensorView x = bench.normals(DType::f32, {3, 19}), y = bench.zeros(DType::f32, {3, 19});
  const TensorView weight = bench.normals(DType::f32, {19}), statistics = bench.zeros(DType::f32, {3, 2});
  Elements(x).set(std::numeric_limits<double>::quiet_NaN(), 1, 18);

  bench.cpu().residual_norm(bench.stream(), {}, x, {}, weight, weight, y, statistics);

  for (std::int64_t row = 0; row < 3; ++row)
    for (std::int64_t column = 0; column < 19; ++column)
      EXPECT_EQ(std::isnan(Elements(y).at(row, column)), row == 1) << row << ", " << column;
}

}  // namespace
}  // namespace ferula::test
