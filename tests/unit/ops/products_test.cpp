// The products of the CPU backend against plain double loops, in all ways of multiplying.
#include <omp.h>

#include <limits>

#include "ops/cpu/products.hpp"
#include "sample_tensors.hpp"

namespace ferula::test {
namespace {

using cpu::Bf16Products;
using cpu::F32Products;

struct Shape {
  std::int64_t rows, in, out;
};
constexpr Shape kShapes[] = {{1, 3, 7},     {3, 1, 1},      {7, 17, 65},   {17, 65, 129},
                             {129, 64, 64}, {65, 300, 270}, {9, 4500, 17}, {9, 5, 4500}};

/// A f32 sum of `terms` products of normal numbers passes partial sums of about √k, each rounded: its error has a
/// standard deviation of terms / √6 roundings, and 4 times as many terms are ten of those.
double scale_of(std::int64_t terms) { return static_cast<double>(terms); }
constexpr double kRoundings = 4.0;

struct Bench : OpBench {
  explicit Bench(Bf16Products bf16, F32Products f32 = F32Products::library)
      : workspace(device()), products(device(), workspace, bf16, f32) {}
  cpu::Workspace workspace;
  cpu::Products products;
};

/// Calls check(bench, type) for each type and way of multiplying that this processor has.
template <class Check>
void for_each_way(const Check& check) {
  for (const Bf16Products way : {Bf16Products::native, Bf16Products::through_f32})
    for (const DType dtype : kComputeTypes) {
      if (way == Bf16Products::native && dtype == DType::bf16 && !cpu::supports_bf16_factors()) continue;
      SCOPED_TRACE(fmt::format("{}, way {}", name_of(dtype), static_cast<int>(way)));
      Bench bench(way);
      check(bench, dtype);
    }
  SCOPED_TRACE("f32 in tiles");
  Bench bench(Bf16Products::native, F32Products::tiled);
  check(bench, DType::f32);
}

/// Calls check(bench, shape, type) for each shape as well.
template <class Check>
void for_each_case(const Check& check) {
  for_each_way([&](Bench& bench, DType dtype) {
    for (const Shape& shape : kShapes) {
      SCOPED_TRACE(fmt::format("{} rows of {} to {}", shape.rows, shape.in, shape.out));
      check(bench, shape, dtype);
    }
  });
}

TEST(Products, LinearIsTheReference) {
  for_each_case([](Bench& bench, const Shape& shape, DType dtype) {
    for (const Accumulate accumulate : {Accumulate::overwrite, Accumulate::add})
      for (const std::int64_t gap : {0, 5}) {
        const TensorView x = bench.normals(dtype, {shape.rows, shape.in}, gap);
        const TensorView bias = gap == 0 ? bench.normals(dtype, {shape.out}) : TensorView();
        const WeightView w{.values = bench.normals(dtype, {shape.out, shape.in}, gap)};
        const TensorView y = bench.normals(dtype, {shape.rows, shape.out}, gap);
        const TensorView expected = bench.clone(y);

        bench.products.linear(x, w, bias, y, accumulate);

        bench.reference().linear(bench.stream(), x, w, bias, expected, accumulate);
        expect_close(y, expected, kRoundings, scale_of(shape.in));
      }
  });
}

TEST(Products, TakeTheScratchThatTheySay) {
  for_each_case([](Bench& bench, const Shape& shape, DType dtype) {
    const TensorView x = bench.normals(dtype, {shape.rows, shape.in}), y = bench.zeros(dtype, {shape.rows, shape.out});
    const WeightView w{.values = bench.normals(dtype, {shape.out, shape.in})};
    const TensorView dw = bench.zeros(DType::f32, {shape.out, shape.in}), bias = bench.zeros(dtype, {shape.out});
    bench.workspace.release();
    bench.products.release_scratch();
    const std::int64_t before = bench.ledger().current_bytes();

    const ScratchBytes said = bench.products.scratch({.rows = shape.rows,
                                                      .in = shape.in,
                                                      .out = shape.out,
                                                      .compute = dtype,
                                                      .result = dtype,
                                                      .bias = dtype,
                                                      .adds_gradients = true});
    EXPECT_EQ(bench.ledger().current_bytes(), before) << "asking takes nothing";
    bench.products.linear(x, w, bias, y, Accumulate::overwrite);
    bench.products.linear_backward_input(y, w, x, Accumulate::overwrite);
    bench.products.linear_backward_weight(x, y, dw, Accumulate::overwrite, {});
    bench.products.linear_backward_weight(x, y, dw, Accumulate::add, {});

    EXPECT_EQ(bench.ledger().current_bytes() - before, said.sum());
  });
}

TEST(Products, LinearWritesF32FromBf16) {
  for_each_case([](Bench& bench, const Shape& shape, DType dtype) {
    const TensorView x = bench.normals(dtype, {shape.rows, shape.in});
    const TensorView bias = bench.normals(dtype, {shape.out});
    const WeightView w{.values = bench.normals(dtype, {shape.out, shape.in})};
    const TensorView y = bench.normals(DType::f32, {shape.rows, shape.out});
    const TensorView expected = bench.clone(y);

    bench.products.linear(x, w, bias, y, Accumulate::add);

    bench.reference().linear(bench.stream(), x, w, bias, expected, Accumulate::add);
    expect_close(y, expected, kRoundings, scale_of(shape.in));
  });
}

TEST(Products, BackwardInputIsTheReference) {
  for_each_case([](Bench& bench, const Shape& shape, DType dtype) {
    for (const Accumulate accumulate : {Accumulate::overwrite, Accumulate::add}) {
      const TensorView dy = bench.normals(dtype, {shape.rows, shape.out}, 3);
      const WeightView w{.values = bench.normals(dtype, {shape.out, shape.in})};
      const TensorView dx = bench.normals(dtype, {shape.rows, shape.in}, 2);
      const TensorView expected = bench.clone(dx);

      bench.products.linear_backward_input(dy, w, dx, accumulate);

      bench.reference().linear_backward_input(bench.stream(), dy, w, expected, accumulate);
      expect_close(dx, expected, kRoundings, scale_of(shape.out));
    }
  });
}

TEST(Products, BackwardWeightIsTheReferenceOverOrOntoWhatIsThere) {
  for_each_case([](Bench& bench, const Shape& shape, DType dtype) {
    const TensorView x = bench.normals(dtype, {shape.rows, shape.in}, 1);
    const TensorView dy = bench.normals(dtype, {shape.rows, shape.out}, 4);
    for (const Accumulate accumulate : {Accumulate::add, Accumulate::overwrite}) {
      const TensorView dw = bench.normals(DType::f32, {shape.out, shape.in});
      const TensorView dbias = bench.normals(DType::f32, {shape.out});
      const TensorView expected_dw = bench.clone(dw), expected_dbias = bench.clone(dbias);

      bench.products.linear_backward_weight(x, dy, dw, accumulate, dbias);

      bench.reference().linear_backward_weight(bench.stream(), x, dy, expected_dw, accumulate, expected_dbias);
      expect_close(dw, expected_dw, kRoundings, scale_of(shape.rows));
      expect_close(dbias, expected_dbias, kRoundings, scale_of(shape.rows));
    }
  });
}

/// The same numbers in f32.
TensorView widened(Bench& bench, const TensorView& narrow) {
  const TensorView wide = bench.zeros(DType::f32, {narrow.dim(0), narrow.dim(1)});
  bench.cpu().copy(bench.stream(), narrow, wide);
  return wide;
}

// The three tests below have more rows and columns than one widened block holds.

TEST(Products, ForwardBlocksJoinSeamlessly) {
  Bench bench(Bf16Products::through_f32);
  const TensorView x = bench.normals(DType::bf16, {1030, 16});
  const WeightView w{.values = bench.normals(DType::bf16, {4130, 16})};
  const WeightView wide_w{.values = widened(bench, w.values)};
  const TensorView y = bench.zeros(DType::f32, {1030, 4130}), whole = bench.clone(y);

  bench.products.linear(x, w, {}, y, Accumulate::overwrite);

  bench.products.linear(widened(bench, x), wide_w, {}, whole, Accumulate::overwrite);
  expect_close(y, whole, kRoundings, scale_of(16));
}

TEST(Products, BackwardInputBlocksJoinSeamlessly) {
  Bench bench(Bf16Products::through_f32);
  const TensorView dy = bench.normals(DType::bf16, {1030, 16});
  const WeightView w{.values = bench.normals(DType::bf16, {16, 4130})};
  const WeightView wide_w{.values = widened(bench, w.values)};
  const TensorView dx = bench.zeros(DType::bf16, {1030, 4130});
  const TensorView whole = bench.zeros(DType::f32, {1030, 4130});

  bench.products.linear_backward_input(dy, w, dx, Accumulate::overwrite);

  bench.products.linear_backward_input(widened(bench, dy), wide_w, whole, Accumulate::overwrite);
  expect_close(dx, whole, kRoundings, scale_of(16));
}

/// dx [rows, in] of a layer [out, in], in tiles by so many threads.
TensorView tiled_input_gradient(Bench& bench, TensorView dy, const WeightView& w, int threads) {
  const TensorView dx = bench.zeros(DType::f32, {dy.dim(0), w.values.dim(1)});
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  bench.products.linear_backward_input(dy, w, dx, Accumulate::overwrite);
  omp_set_num_threads(before);
  return dx;
}

TEST(Products, TilesJoinSeamlesslyAndGiveTheSameBitsForAnyNumberOfThreads) {
  Bench bench(Bf16Products::native, F32Products::tiled), library(Bf16Products::native);
  for (const Shape& shape : {Shape{203, 1610, 400}, Shape{403, 131, 390}}) {
    const TensorView dy = bench.normals(DType::f32, {shape.rows, shape.out}, 3);
    const WeightView w{.values = bench.normals(DType::f32, {shape.out, shape.in})};
    const TensorView expected = library.zeros(DType::f32, {shape.rows, shape.in});

    const TensorView dx = tiled_input_gradient(bench, dy, w, 1);

    library.products.linear_backward_input(dy, w, expected, Accumulate::overwrite);
    expect_close(dx, expected, kRoundings, scale_of(shape.out));
    for (const int threads : {2, 3, 7}) {
      const TensorView again = tiled_input_gradient(bench, dy, w, threads);
      SCOPED_TRACE(fmt::format("{} threads", threads));
      expect_same_bits(again, dx);
    }
  }
}

TEST(Products, BackwardWeightBlocksJoinSeamlessly) {
  Bench bench(Bf16Products::through_f32);
  const TensorView x = bench.normals(DType::bf16, {1030, 5});
  const TensorView dy = bench.normals(DType::bf16, {1030, 1100});
  const TensorView dw = bench.normals(DType::f32, {1100, 5}), whole = bench.zeros(DType::f32, {1100, 5});

  bench.products.linear_backward_weight(x, dy, dw, Accumulate::overwrite, {});

  bench.products.linear_backward_weight(widened(bench, x), widened(bench, dy), whole, Accumulate::add, {});
  expect_close(dw, whole, kRoundings, scale_of(1030));
}

TEST(Products, PreparedWeightsFollowTheirVersion) {
  constexpr std::int64_t kOut = 270, kIn = 257, kRows = 5;
  for_each_way([](Bench& bench, DType dtype) {
    const auto prepared = bench.products.make_prepared(kOut, kIn, dtype);
    ASSERT_NE(prepared, nullptr);
    const TensorView first = bench.normals(dtype, {kOut, kIn}), second = bench.normals(dtype, {kOut, kIn});
    const TensorView x = bench.normals(dtype, {kRows, kIn}), dy = bench.normals(dtype, {kRows, kOut});
    const auto check = [&](const TensorView& values, std::uint64_t version) {
      const WeightView w{.values = values, .prepared = prepared.get(), .version = version}, plain{.values = values};
      const TensorView y = bench.zeros(dtype, {kRows, kOut}), expected_y = bench.clone(y);
      const TensorView dx = bench.zeros(dtype, {kRows, kIn}), expected_dx = bench.clone(dx);
      bench.products.linear(x, w, {}, y, Accumulate::overwrite);
      bench.products.linear_backward_input(dy, w, dx, Accumulate::overwrite);
      bench.reference().linear(bench.stream(), x, plain, {}, expected_y, Accumulate::overwrite);
      bench.reference().linear_backward_input(bench.stream(), dy, plain, expected_dx, Accumulate::overwrite);
      expect_close(y, expected_y, kRoundings, scale_of(kIn));
      expect_close(dx, expected_dx, kRoundings, scale_of(kOut));
    };

    check(first, 7);
    check(second, 8);
  });
}

TEST(Products, AKnownVersionIsNotPackedAgain) {
  for_each_way([](Bench& bench, DType dtype) {
    const auto prepared = bench.products.make_prepared(256, 256, dtype);
    const TensorView x = bench.normals(dtype, {3, 256});
    const WeightView w{.values = bench.normals(dtype, {256, 256}), .prepared = prepared.get(), .version = 1};
    const TensorView before = bench.zeros(dtype, {3, 256}), after = bench.zeros(dtype, {3, 256});

    bench.products.linear(x, w, {}, before, Accumulate::overwrite);
    bench.cpu().fill(bench.stream(), w.values, 0.0f);
    bench.products.linear(x, w, {}, after, Accumulate::overwrite);

    expect_same_bits(after, before);
  });
}

TEST(Products, SmallWeightsAreNotPrepared) {
  OpBench bench;

  EXPECT_EQ(bench.cpu().make_prepared(8, 8, DType::f32), nullptr);
}

TEST(Products, ZeroRowsDoNothing) {
  OpBench bench;
  const TensorView x = bench.zeros(DType::bf16, {0, 8}), dy = bench.zeros(DType::bf16, {0, 4});
  const WeightView w{.values = bench.normals(DType::bf16, {4, 8})};
  const TensorView dw = bench.normals(DType::f32, {4, 8}), dbias = bench.normals(DType::f32, {4});
  const TensorView dw_before = bench.clone(dw), dbias_before = bench.clone(dbias);

  bench.cpu().linear(bench.stream(), x, w, {}, dy, Accumulate::overwrite);
  bench.cpu().linear_backward_input(bench.stream(), dy, w, x, Accumulate::add);
  bench.cpu().linear_backward_weight(bench.stream(), x, dy, dw, Accumulate::add, dbias);

  expect_same_bits(dw, dw_before);
  expect_same_bits(dbias, dbias_before);

  bench.cpu().linear_backward_weight(bench.stream(), x, dy, dw, Accumulate::overwrite, dbias);
  expect_same_bits(dw, bench.zeros(DType::f32, {4, 8}));
}

TEST(Products, NothingIsAllocatedTheSecondTime) {
  for (const DType dtype : kComputeTypes) {
    OpBench bench;
    const TensorView x = bench.normals(dtype, {33, 48}), dy = bench.normals(dtype, {33, 80});
    const WeightView w{.values = bench.normals(dtype, {80, 48})};
    const TensorView y = bench.zeros(dtype, {33, 80}), dx = bench.zeros(dtype, {33, 48});
    const TensorView dw = bench.zeros(DType::f32, {80, 48}), dbias = bench.zeros(DType::f32, {80});
    const auto step = [&] {
      bench.cpu().linear(bench.stream(), x, w, {}, y, Accumulate::overwrite);
      bench.cpu().linear_backward_input(bench.stream(), dy, w, dx, Accumulate::overwrite);
      bench.cpu().linear_backward_weight(bench.stream(), x, dy, dw, Accumulate::overwrite, dbias);
    };

    step();
    const std::int64_t allocations = bench.ledger().allocations();
    step();

    EXPECT_EQ(bench.ledger().allocations(), allocations);
  }
}

TEST(Products, BiasGradientsDoNotDependOnThreads) {
  for (const DType dtype : kComputeTypes) {
    OpBench bench;
    const TensorView x = bench.normals(dtype, {513, 3}), dy = bench.normals(dtype, {513, 129});
    const TensorView one = bench.zeros(DType::f32, {129}), two = bench.zeros(DType::f32, {129});

    {
      const ThreadCount threads(1);
      bench.cpu().linear_backward_weight(bench.stream(), x, dy, {}, Accumulate::add, one);
    }
    {
      const ThreadCount threads(2);
      bench.cpu().linear_backward_weight(bench.stream(), x, dy, {}, Accumulate::add, two);
    }

    expect_same_bits(one, two);
  }
}

TEST(Products, NanReachesItsRow) {
  for (const DType dtype : kComputeTypes) {
    OpBench bench;
    const TensorView x = bench.normals(dtype, {20, 9});
    Elements(x).set(std::numeric_limits<double>::quiet_NaN(), 2, 4);
    const WeightView w{.values = bench.normals(dtype, {5, 9})};
    const TensorView y = bench.zeros(dtype, {20, 5});

    bench.cpu().linear(bench.stream(), x, w, {}, y, Accumulate::overwrite);

    for (std::int64_t row = 0; row < 20; ++row)
      for (std::int64_t column = 0; column < 5; ++column)
        EXPECT_EQ(std::isnan(Elements(y).at(row, column)), row == 2) << row << ", " << column;
  }
}

}  // namespace
}  // namespace ferula::test
