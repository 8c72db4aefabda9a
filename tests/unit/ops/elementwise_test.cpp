// The element-wise operations of the CPU backend against plain double loops.
#include <limits>

#include "ops/dropout_counter.hpp"
#include "sample_tensors.hpp"

namespace ferula::test {
namespace {

constexpr std::pair<std::int64_t, std::int64_t> kShapes[] = {{1, 1}, {3, 7}, {17, 65}, {2, 129}, {5, 20000}};
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Calls check(bench, rows, width, gap, type) for shapes with and without a gap between rows.
template <class Check>
void for_each_case(const Check& check) {
  for (const DType dtype : kComputeTypes)
    for (const auto& [rows, width] : kShapes)
      for (const std::int64_t gap : {0, 9}) {
        SCOPED_TRACE(fmt::format("[{}, {}] gap {} {}", rows, width, gap, name_of(dtype)));
        OpBench bench;
        check(bench, rows, width, gap, dtype);
      }
}

/// Numbers from −limit to limit in equal steps: the whole range of an activation.
TensorView ramp(OpBench& bench, DType dtype, std::int64_t count, double limit) {
  const TensorView x = bench.zeros(dtype, {1, count});
  for (std::int64_t index = 0; index < count; ++index)
    Elements(x).set(limit * (2.0 * static_cast<double>(index) / static_cast<double>(count - 1) - 1.0), 0, index);
  return x;
}

TEST(Gelu, IsTheReferenceWithinAFewRoundings) {
  for_each_case([](OpBench& bench, std::int64_t rows, std::int64_t width, std::int64_t gap, DType dtype) {
    const TensorView x = bench.normals(dtype, {rows, width}, gap);
    const TensorView y = bench.zeros(dtype, {rows, width}), expected = bench.clone(y);

    bench.cpu().gelu(bench.stream(), x, y);

    bench.reference().gelu(bench.stream(), x, expected);
    expect_close(y, expected, 4.0, 4.0);
  });
}

TEST(Gelu, IsAccurateOverTheWholeRange) {
  OpBench bench;
  const TensorView x = ramp(bench, DType::f32, 10001, 40.0), y = bench.clone(x), expected = bench.clone(x);

  bench.cpu().gelu(bench.stream(), x, y);

  bench.reference().gelu(bench.stream(), x, expected);
  expect_close(y, expected, 4.0, 4.0);
}

TEST(Gelu, WorksInPlace) {
  OpBench bench;
  const TensorView x = bench.normals(DType::bf16, {7, 33}), y = bench.clone(x);

  bench.cpu().gelu(bench.stream(), x, y);
  bench.cpu().gelu(bench.stream(), x, x);

  expect_same_bits(x, y);
}

TEST(Gelu, KeepsNanAndLargeNumbers) {
  OpBench bench;
  const TensorView x = bench.values<float>({std::numeric_limits<float>::quiet_NaN(), 1e30f, -1e30f, 1e38f, -1e38f});
  const TensorView y = bench.clone(x), dx = bench.clone(x), one = bench.values<float>({1, 1, 1, 1, 1});

  bench.cpu().gelu(bench.stream(), x, y);
  bench.cpu().gelu_backward(bench.stream(), x, one, dx);

  expect_close(y, bench.values<double>({kNan, 1e30, 0, 1e38, 0}), 2.0);
  expect_close(dx, bench.values<double>({kNan, 1, 0, 1, 0}), 2.0);
}

TEST(GeluBackward, IsTheReference) {
  for_each_case([](OpBench& bench, std::int64_t rows, std::int64_t width, std::int64_t gap, DType dtype) {
    const TensorView x = bench.normals(dtype, {rows, width}, gap), dy = bench.normals(dtype, {rows, width});
    const TensorView dx = bench.zeros(dtype, {rows, width}), expected = bench.clone(dx);

    bench.cpu().gelu_backward(bench.stream(), x, dy, dx);

    bench.reference().gelu_backward(bench.stream(), x, dy, expected);
    expect_close(dx, expected, 4.0, 8.0);
  });
}

TEST(GeluBackward, IsAccurateOverTheWholeRange) {
  OpBench bench;
  const TensorView x = ramp(bench, DType::f32, 10001, 40.0), dx = bench.clone(x), expected = bench.clone(x);
  const TensorView dy = bench.clone(x);
  bench.cpu().fill(bench.stream(), dy, 1.0f);

  bench.cpu().gelu_backward(bench.stream(), x, dy, dx);

  bench.reference().gelu_backward(bench.stream(), x, dy, expected);
  expect_close(dx, expected, 4.0, 4.0);
}

TEST(Swiglu, IsTheReference) {
  for_each_case([](OpBench& bench, std::int64_t rows, std::int64_t width, std::int64_t gap, DType dtype) {
    const TensorView gate_up = bench.normals(dtype, {rows, 2 * width}, gap), dy = bench.normals(dtype, {rows, width});
    const TensorView y = bench.zeros(dtype, {rows, width}, gap), expected_y = bench.clone(y);
    const TensorView dx = bench.zeros(dtype, {rows, 2 * width}), expected_dx = bench.clone(dx);

    bench.cpu().swiglu(bench.stream(), gate_up, y);
    bench.cpu().swiglu_backward(bench.stream(), gate_up, dy, dx);

    bench.reference().swiglu(bench.stream(), gate_up, expected_y);
    bench.reference().swiglu_backward(bench.stream(), gate_up, dy, expected_dx);
    expect_close(y, expected_y, 6.0, 4.0);
    expect_close(dx, expected_dx, 6.0, 8.0);
  });
}

TEST(Swiglu, KeepsNanAndLargeNumbers) {
  OpBench bench;
  const TensorView gate_up = bench.zeros(DType::f32, {1, 6}), y = bench.zeros(DType::f32, {1, 3});
  const double inputs[] = {kNan, -1000.0, 1000.0, 2.0, 2.0, 2.0};
  for (std::int64_t column = 0; column < 6; ++column) Elements(gate_up).set(inputs[column], 0, column);

  bench.cpu().swiglu(bench.stream(), gate_up, y);

  expect_close(y, bench.values<double>({kNan, 0.0, 2000.0}), 2.0);
}

TEST(Add, RoundsTheSumOnce) {
  for_each_case([](OpBench& bench, std::int64_t rows, std::int64_t width, std::int64_t gap, DType dtype) {
    const TensorView x = bench.normals(dtype, {rows, width}, gap), expected = bench.clone(x);
    const TensorView y = bench.normals(dtype, {rows, width});

    bench.cpu().add(bench.stream(), x, y);

    bench.reference().add(bench.stream(), expected, y);
    expect_same_bits(x, expected);
  });
}

TEST(Copy, ConvertsToNearestEven) {
  for_each_case([](OpBench& bench, std::int64_t rows, std::int64_t width, std::int64_t gap, DType dtype) {
    const TensorView from = bench.normals(dtype, {rows, width}, gap);
    for (const DType target : kComputeTypes) {
      const TensorView to = bench.zeros(target, {rows, width}), expected = bench.clone(to);

      bench.cpu().copy(bench.stream(), from, to);

      bench.reference().copy(bench.stream(), from, expected);
      expect_same_bits(to, expected);
    }
  });
}

TEST(Copy, RoundsTiesSubnormalsAndSpecialNumbersLikeTheScalar) {
  OpBench bench;
  std::vector<float> values;
  for (const std::uint32_t bits : {0x3f808000u, 0x3f818000u, 0x3f807fffu, 0x3f808001u, 0x00000001u, 0x00008000u,
                                   0x80018000u, 0x7f7fffffu, 0x7f800000u, 0xff800000u, 0x7f800001u, 0xffc00001u})
    values.push_back(std::bit_cast<float>(bits));
  values.insert(values.end(), values.begin(), values.end());  // whole vectors and a tail
  const TensorView from = bench.values(values), to = bench.zeros(DType::bf16, {from.count()});

  bench.cpu().copy(bench.stream(), from, to);

  for (std::size_t index = 0; index < values.size(); ++index)
    EXPECT_EQ(to.as<bf16>()[index].bits, bf16(values[index]).bits) << "element " << index;
}

TEST(Fill, FillsEveryElementAndNothingElse) {
  for_each_case([](OpBench& bench, std::int64_t rows, std::int64_t width, std::int64_t gap, DType dtype) {
    const TensorView x = bench.normals(dtype, {rows, width}, gap), expected = bench.clone(x);

    bench.cpu().fill(bench.stream(), x, 2.5f);

    bench.reference().fill(bench.stream(), expected, 2.5f);
    expect_same_bits(x, expected);
    const auto last_row = static_cast<std::size_t>((rows - 1) * x.stride(0) * bytes_of(dtype));
    EXPECT_EQ(std::memcmp(x.data, expected.data, last_row), 0);
  });
}

TEST(Dropout, IsTheReference) {
  for_each_case([](OpBench& bench, std::int64_t rows, std::int64_t width, std::int64_t gap, DType dtype) {
    DropoutSpec spec{.rate = 0.3f, .key = 99};
    spec.step = bench.values<std::int64_t>({12345678901});
    spec.sample = bench.zeros(DType::i64, {rows});
    spec.position = bench.zeros(DType::i32, {rows});
    for (std::int64_t row = 0; row < rows; ++row) {
      spec.sample.as<std::int64_t>()[row] = (1ll << 40) + row / 2;
      spec.position.as<std::int32_t>()[row] = static_cast<std::int32_t>(7 * row);
    }
    const TensorView x = bench.normals(dtype, {rows, width}, gap), expected = bench.clone(x);

    bench.cpu().dropout(bench.stream(), spec, x);

    bench.reference().dropout(bench.stream(), spec, expected);
    expect_close(x, expected, 4.0);
  });
}

TEST(Dropout, MovesWithTheStepAndNotWithTheRow) {
  OpBench bench;
  DropoutSpec spec{.rate = 0.5f, .key = 1};
  spec.step = bench.values<std::int64_t>({3});
  spec.sample = bench.values<std::int64_t>({4, 5});
  spec.position = bench.values<std::int32_t>({6, 7});
  const TensorView x = bench.zeros(DType::f32, {2, 1000});
  bench.cpu().fill(bench.stream(), x, 1.0f);
  const TensorView alone = bench.clone(x.rows(1, 1)), later = bench.clone(x);
  DropoutSpec second = spec;
  second.sample = spec.sample.rows(1, 1);
  second.position = spec.position.rows(1, 1);

  bench.cpu().dropout(bench.stream(), spec, x);
  bench.cpu().dropout(bench.stream(), second, alone);
  *spec.step.as<std::int64_t>() = 4;
  bench.cpu().dropout(bench.stream(), spec, later);

  expect_same_bits(x.rows(1, 1), alone);
  EXPECT_NE(std::memcmp(x.data, later.data, 2 * 1000 * sizeof(float)), 0);
}

TEST(SumOfSquares, AddsInDoubleAndIgnoresThreads) {
  for (const std::int64_t count : {0, 1, 17, 4097, 100003}) {
    OpBench bench;
    const TensorView x = bench.normals(DType::f32, {count});
    const TensorView one = bench.values<double>({3.0}), two = bench.clone(one), expected = bench.clone(one);

    {
      const ThreadCount threads(1);
      bench.cpu().sum_of_squares(bench.stream(), x, one);
    }
    {
      const ThreadCount threads(2);
      bench.cpu().sum_of_squares(bench.stream(), x, two);
    }

    bench.reference().sum_of_squares(bench.stream(), x, expected);
    expect_same_bits(one, two);
    EXPECT_NEAR(*one.as<double>(), *expected.as<double>(), 1e-13 * *expected.as<double>());
  }
}

TEST(SumOfSquares, InfinityAndNanReachTheTotal) {
  OpBench bench;
  for (const double bad : {kInfinity, kNan}) {
    const TensorView x = bench.normals(DType::f32, {5000}), total = bench.values<double>({0.0});
    Elements(x).set(bad, 4321);

    bench.cpu().sum_of_squares(bench.stream(), x, total);

    EXPECT_FALSE(std::isfinite(*total.as<double>()));
  }
}

TEST(FillNormal, DependsOnTheElementOnly) {
  for (const DType dtype : kComputeTypes) {
    OpBench bench;
    const TensorView whole = bench.zeros(dtype, {40001}), part = bench.zeros(dtype, {123});
    const TensorView expected = bench.clone(whole);

    bench.cpu().fill_normal(bench.stream(), whole, 77, 10, 0.02f);
    bench.cpu().fill_normal(bench.stream(), part, 77, 10 + 333, 0.02f);

    bench.reference().fill_normal(bench.stream(), expected, 77, 10, 0.02f);
    expect_same_bits(part, whole.range(333, 123));
    expect_close(whole, expected, 2.0, 0.0);
  }
}

TEST(Elementwise, NoRowsAreNoWork) {
  OpBench bench;
  const TensorView x = bench.zeros(DType::f32, {0, 8}), gate_up = bench.zeros(DType::f32, {0, 16});
  DropoutSpec spec{.rate = 0.5f, .step = bench.values<std::int64_t>({1})};

  bench.cpu().gelu(bench.stream(), x, x);
  bench.cpu().gelu_backward(bench.stream(), x, x, x);
  bench.cpu().swiglu(bench.stream(), gate_up, x);
  bench.cpu().swiglu_backward(bench.stream(), gate_up, x, gate_up);
  bench.cpu().add(bench.stream(), x, x);
  bench.cpu().copy(bench.stream(), x, x);
  bench.cpu().fill(bench.stream(), x, 1.0f);
  bench.cpu().dropout(bench.stream(), spec, x);
}

TEST(Elementwise, ALargeFillStopsWhereItsRowsDo) {
  constexpr std::int64_t kRows = 130, kWidth = 16'421, kGap = 5;  // above 8 MiB: written past the caches
  OpBench bench;
  const TensorView whole = bench.zeros(DType::f32, {kRows, kWidth + kGap});

  bench.cpu().fill(bench.stream(), whole.columns(1, kWidth), 2.5f);

  const std::span<const float> values = whole.span<float>();
  for (std::int64_t row = 0; row < kRows; ++row)
    for (std::int64_t column = 0; column < kWidth + kGap; ++column)
      ASSERT_EQ(values[static_cast<std::size_t>(row * (kWidth + kGap) + column)],
                column >= 1 && column <= kWidth ? 2.5f : 0.0f)
          << row << ", " << column;
}

}  // namespace
}  // namespace ferula::test
