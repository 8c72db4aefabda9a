// The norms, two or three passes over a row that stays in the L1 cache, as Highway kernels over blocks of rows.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/norm.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include <cmath>

#include "ops/cpu/norm.hpp"
#include "ops/cpu/norm_arguments.hpp"
#include "ops/cpu/parallel.hpp"
#include "ops/cpu/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

/// Mean (0 for rms) and 1/σ of a row; the deviations are taken from the mean in a second pass, as in the reference.
template <class T>
HWY_INLINE void row_statistics(const NormSpec& spec, const T* x, std::int64_t width, float& mean, float& inverse) {
  const auto count = static_cast<float>(width);
  mean = 0.0f;
  if (spec.kind == NormKind::layer) {
    Floats sum = hn::Zero(kFloat);
    sweep(width, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR { sum = hn::Add(sum, load(x + at, lanes)); });
    mean = sum_of_lanes(sum) / count;
  }
  const Floats centre = hn::Set(kFloat, mean);
  Floats squares = hn::Zero(kFloat);
  sweep(width, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
    const Floats deviation = first_lanes(hn::Sub(load(x + at, lanes), centre), lanes);
    squares = hn::MulAdd(deviation, deviation, squares);
  });
  inverse = 1.0f / std::sqrt(sum_of_lanes(squares) / count + spec.eps);
}

template <class T>
HWY_INLINE void add_row(const T* delta, T* residual, std::int64_t width) {
  sweep(width, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
    store(hn::Add(load(residual + at, lanes), load(delta + at, lanes)), residual + at, lanes);
  });
}

template <class T>
void norm_rows(const NormSpec& spec, const NormForward& views) {
  const std::int64_t width = views.residual.dim(1);
  const T* weight = row_of<T>(views.weight, 0);
  const T* bias = views.bias.empty() ? nullptr : row_of<T>(views.bias, 0);
  for (std::int64_t row = 0; row < views.residual.dim(0); ++row) {
    T* x = row_of<T>(views.residual, row);
    T* y = row_of<T>(views.y, row);
    if (!views.delta.empty()) add_row(row_of<T>(views.delta, row), x, width);
    float mean = 0.0f, inverse = 0.0f;
    row_statistics(spec, x, width, mean, inverse);
    const Floats centre = hn::Set(kFloat, mean);
    const Floats scale = hn::Set(kFloat, inverse);
    sweep(width, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
      const Floats normal = hn::Mul(hn::Sub(load(x + at, lanes), centre), scale);
      const Floats shift = bias == nullptr ? hn::Zero(kFloat) : load(bias + at, lanes);
      store(hn::MulAdd(normal, load(weight + at, lanes), shift), y + at, lanes);
    });
    float* saved = row_of<float>(views.statistics, row);
    saved[0] = mean;
    saved[1] = inverse;
  }
}

/// Σ g and Σ g · x̂ over a row, with g = dy · weight and x̂ the normalised input.
struct Projections {
  float gradient = 0.0f;
  float normal = 0.0f;
};

/// Also adds dy · x̂ to `dweight` and dy to `dbias` where they are wanted (not null).
template <class T>
HWY_INLINE Projections project_row(const T* dy, const T* x, const T* weight, std::int64_t width, const float* saved,
                                   float* dweight, float* dbias) {
  const Floats centre = hn::Set(kFloat, saved[0]);
  const Floats scale = hn::Set(kFloat, saved[1]);
  Floats sum = hn::Zero(kFloat);
  Floats projection = hn::Zero(kFloat);
  sweep(width, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
    const Floats upstream = load(dy + at, lanes);
    const Floats normal = hn::Mul(first_lanes(hn::Sub(load(x + at, lanes), centre), lanes), scale);
    const Floats weighted = hn::Mul(upstream, load(weight + at, lanes));
    sum = hn::Add(sum, weighted);
    projection = hn::MulAdd(weighted, normal, projection);
    if (dweight != nullptr) store(hn::MulAdd(upstream, normal, load(dweight + at, lanes)), dweight + at, lanes);
    if (dbias != nullptr) store(hn::Add(upstream, load(dbias + at, lanes)), dbias + at, lanes);
  });
  return {sum_of_lanes(sum), sum_of_lanes(projection)};
}

/// dx = (g − mean(g) − x̂ · mean(g · x̂)) / σ; for rms without mean(g).
template <class T>
HWY_INLINE void input_row(const T* dy, const T* x, const T* weight, std::int64_t width, const float* saved,
                          Projections means, Accumulate accumulate, T* dx) {
  const Floats centre = hn::Set(kFloat, saved[0]);
  const Floats scale = hn::Set(kFloat, saved[1]);
  const Floats mean_gradient = hn::Set(kFloat, means.gradient);
  const Floats mean_normal = hn::Set(kFloat, means.normal);
  sweep(width, [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
    const Floats normal = hn::Mul(hn::Sub(load(x + at, lanes), centre), scale);
    const Floats weighted = hn::Mul(load(dy + at, lanes), load(weight + at, lanes));
    const Floats centred = hn::NegMulAdd(normal, mean_normal, hn::Sub(weighted, mean_gradient));
    const Floats before = accumulate == Accumulate::add ? load(dx + at, lanes) : hn::Zero(kFloat);
    store(hn::MulAdd(centred, scale, before), dx + at, lanes);
  });
}

template <class T>
void norm_backward_rows(const NormSpec& spec, const NormBackward& views) {
  const std::int64_t width = views.x.dim(1);
  const T* weight = row_of<T>(views.weight, 0);
  float* dweight = views.dweight.empty() ? nullptr : row_of<float>(views.dweight, 0);
  float* dbias = views.dbias.empty() ? nullptr : row_of<float>(views.dbias, 0);
  for (std::int64_t row = 0; row < views.x.dim(0); ++row) {
    const T* dy = row_of<T>(views.dy, row);
    const T* x = row_of<T>(views.x, row);
    const float* saved = row_of<float>(views.statistics, row);
    Projections means = project_row(dy, x, weight, width, saved, dweight, dbias);
    means.gradient = spec.kind == NormKind::rms ? 0.0f : means.gradient / static_cast<float>(width);
    means.normal /= static_cast<float>(width);
    input_row(dy, x, weight, width, saved, means, views.accumulate, row_of<T>(views.dx, row));
  }
}

void norm_piece(const NormSpec& spec, const NormForward& views) {
  views.residual.dtype == DType::bf16 ? norm_rows<bf16>(spec, views) : norm_rows<float>(spec, views);
}

void norm_backward_piece(const NormSpec& spec, const NormBackward& views) {
  views.x.dtype == DType::bf16 ? norm_backward_rows<bf16>(spec, views) : norm_backward_rows<float>(spec, views);
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(norm_piece);
HWY_EXPORT(norm_backward_piece);

constexpr std::int64_t kMostRowBlocks = 64;

/// Rows whose gradients of weight and bias are summed by one thread.
std::int64_t rows_per_block(std::int64_t rows) { return std::max<std::int64_t>(16, ceil_div(rows, kMostRowBlocks)); }

/// total += the rows of `partial` [blocks, width], in their order.
void add_blocks(TensorView partial, TensorView total) {
  if (total.empty()) return;
  for (std::int64_t block = 0; block < partial.dim(0); ++block) {
    const float* from = partial.rows(block, 1).as<float>();
    std::span<float> to = total.span<float>();
    for (std::size_t column = 0; column < to.size(); ++column) to[column] += from[column];
  }
}

/// Scratch [blocks, width] f32 of zeros for a gradient that is wanted, else an empty view.
TensorView take_partial(Workspace::Lease& scratch, const TensorView& gradient, std::int64_t blocks) {
  if (gradient.empty()) return {};
  const TensorView partial = scratch.take(DType::f32, {blocks, gradient.count()});
  std::memset(partial.data, 0, static_cast<std::size_t>(partial.bytes()));
  return partial;
}

TensorView block_of(const TensorView& partial, std::int64_t block) {
  return partial.empty() ? partial : partial.rows(block, 1).reshaped({partial.dim(1)});
}

}  // namespace

void residual_norm(const NormSpec& spec, TensorView residual, TensorView delta, TensorView weight, TensorView bias,
                   TensorView y, TensorView statistics) {
  check_compute_type(residual, weight, y);
  const std::int64_t width = residual.dim(1);
  parallel_ranges(residual.dim(0), rows_per_piece(width), [&](std::int64_t begin, std::int64_t rows) {
    const NormForward views{.residual = residual.rows(begin, rows),
                            .delta = delta.empty() ? delta : delta.rows(begin, rows),
                            .weight = weight,
                            .bias = bias,
                            .y = y.rows(begin, rows),
                            .statistics = statistics.rows(begin, rows)};
    HWY_DYNAMIC_DISPATCH(norm_piece)(spec, views);
  });
}

std::int64_t norm_backward_scratch(std::int64_t rows, std::int64_t width) {
  return 2 * scratch_bytes(DType::f32, ceil_div(rows, rows_per_block(rows)) * width);
}

void norm_backward(Workspace& workspace, const NormSpec& spec, TensorView dy, TensorView x, TensorView weight,
                   TensorView statistics, TensorView dx, Accumulate accumulate, TensorView dweight, TensorView dbias) {
  check_compute_type(dy, x, weight, dx);
  if (x.dim(0) == 0) return;
  const std::int64_t block_rows = rows_per_block(x.dim(0));
  const std::int64_t blocks = ceil_div(x.dim(0), block_rows);
  Workspace::Lease scratch = workspace.lease(norm_backward_scratch(x.dim(0), x.dim(1)));
  const TensorView dweight_blocks = take_partial(scratch, dweight, blocks);
  const TensorView dbias_blocks = take_partial(scratch, dbias, blocks);
  parallel_ranges(x.dim(0), block_rows, [&](std::int64_t begin, std::int64_t rows) {
    const NormBackward views{.dy = dy.rows(begin, rows),
                             .x = x.rows(begin, rows),
                             .weight = weight,
                             .statistics = statistics.rows(begin, rows),
                             .dx = dx.rows(begin, rows),
                             .accumulate = accumulate,
                             .dweight = block_of(dweight_blocks, begin / block_rows),
                             .dbias = block_of(dbias_blocks, begin / block_rows)};
    HWY_DYNAMIC_DISPATCH(norm_backward_piece)(spec, views);
  });
  add_blocks(dweight_blocks, dweight);
  add_blocks(dbias_blocks, dbias);
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
