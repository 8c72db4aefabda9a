// Dropout and normal numbers from Philox counters.
#include "ops/cuda/fast_divide.hpp"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/pointwise.cuh"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/random.hpp"
#include "ops/dropout_counter.hpp"

namespace ferula::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kMostRowsOfBlock = 16;
constexpr int kPiecesAtOnce = 4;               // of a thread: it asks for so many before it looks at the first
constexpr std::int64_t kPiecesOfBlock = 2048;  // samples and positions may lie in host memory: a block reads several

/// `philox` of base/philox.hpp, which is host code.
__device__ __forceinline__ uint4 philox_words(std::uint64_t key, uint4 counter) {
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint32_t high0 = __umulhi(0xD2511F53u, counter.x), low0 = 0xD2511F53u * counter.x;
    const std::uint32_t high1 = __umulhi(0xCD9E8D57u, counter.z), low1 = 0xCD9E8D57u * counter.z;
    counter = make_uint4(high1 ^ counter.y ^ k0, low1, high0 ^ counter.w ^ k1, low0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

struct DropoutRows {
  const std::int64_t* step;
  const std::int64_t* sample;
  const std::int32_t* position;
  std::uint64_t key;
  std::uint32_t threshold;  // of all 32 bits: that of dropout_threshold, shifted
  float scale;
};

/// Drops or scales columns [column, column + V) of a row; V is a multiple of 4, or 1.
template <int V>
__device__ __forceinline__ void drop(const DropoutRows& rule, std::uint64_t key, std::int64_t sample,
                                     std::int32_t position, std::int64_t column, float (&x)[V]) {
  const auto wide_sample = static_cast<std::uint64_t>(sample);
  const auto bits_at = [&](std::int64_t at) {
    return philox_words(
        key, make_uint4(static_cast<std::uint32_t>(at / 4), static_cast<std::uint32_t>(position),
                        static_cast<std::uint32_t>(wide_sample), static_cast<std::uint32_t>(wide_sample >> 32)));
  };
  const auto kept = [&](std::uint32_t bits, float value) { return bits < rule.threshold ? 0.0f : value * rule.scale; };
  if constexpr (V == 1) {
    const uint4 bits = bits_at(column);
    const int word = static_cast<int>(column % 4);
    x[0] = kept(word == 0 ? bits.x : word == 1 ? bits.y : word == 2 ? bits.z : bits.w, x[0]);
  } else {
#pragma unroll
    for (int i = 0; i < V; i += 4) {
      const uint4 bits = bits_at(column + i);
      x[i] = kept(bits.x, x[i]);
      x[i + 1] = kept(bits.y, x[i + 1]);
      x[i + 2] = kept(bits.z, x[i + 2]);
      x[i + 3] = kept(bits.w, x[i + 3]);
    }
  }
}

/// A block takes `block_rows` rows of `per_row` pieces of V elements.
template <int V, class T>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(DropoutRows rule, Rows<T> x, std::int64_t rows, int block_rows, FastDivide per_row) {
  await_previous_kernel();
  __shared__ std::int64_t samples[kMostRowsOfBlock];
  __shared__ std::int32_t positions[kMostRowsOfBlock];
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * block_rows;
  const auto count = static_cast<unsigned>(min(static_cast<std::int64_t>(block_rows), rows - first));
  const std::uint64_t key = rule.key + static_cast<std::uint64_t>(*rule.step) * 0x9E3779B97F4A7C15ull;
  const unsigned pieces = count * per_row.divisor;
  for (unsigned begin = 0; begin < pieces; begin += kPiecesAtOnce * kThreads) {
    Raw<T, V> raw[kPiecesAtOnce];
    const auto place_of = [&](int each) { return begin + static_cast<unsigned>(each) * kThreads + threadIdx.x; };
    const auto row_of = [&](int each) { return per_row.quotient(place_of(each)); };
    const auto column_of = [&](int each) { return (place_of(each) - row_of(each) * per_row.divisor) * V; };
#pragma unroll
    for (int each = 0; each < kPiecesAtOnce; ++each)
      if (place_of(each) < pieces) raw[each] = load_raw<V>(x.row(first + row_of(each)) + column_of(each));
    if (begin == 0) {  // while the first pieces are on their way
      if (threadIdx.x < count) {
        samples[threadIdx.x] = rule.sample[first + threadIdx.x];
        positions[threadIdx.x] = rule.position[first + threadIdx.x];
      }
      __syncthreads();
    }
#pragma unroll
    for (int each = 0; each < kPiecesAtOnce; ++each) {
      if (place_of(each) >= pieces) continue;
      const unsigned row = row_of(each), column = column_of(each);
      float values[V];
      to_floats(raw[each], values);
      drop<V>(rule, key, samples[row], positions[row], column, values);
      store<V>(values, x.row(first + row) + column);
    }
  }
}

/// `normal` of base/philox.hpp, which is host code: Box and Muller, in the same steps.
__device__ double normal_number(std::uint64_t key, std::uint64_t index) {
  const std::uint64_t pair = index / 2;
  const uint4 bits =
      philox_words(key, make_uint4(static_cast<std::uint32_t>(pair), static_cast<std::uint32_t>(pair >> 32), 0u, 0u));
  const double first = (bits.x + 0.5) * 0x1p-32 + bits.y * 0x1p-64;  // both products are exact
  const double angle = __dmul_rn(2.0 * 3.141592653589793, bits.z * 0x1p-32);
  const double radius = sqrt(-2.0 * log(first));
  return __dmul_rn(radius, index % 2 == 0 ? cos(angle) : sin(angle));
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    fill_normal_kernel(T* x, std::int64_t count, std::uint64_t key, std::int64_t first, double std) {
  await_previous_kernel();
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= count) return;
  const double value = normal_number(key, static_cast<std::uint64_t>(first) + static_cast<std::uint64_t>(at));
  x[at] = from_float<T>(static_cast<float>(__dmul_rn(std, value)));
}

}  // namespace

void dropout(cudaStream_t stream, const DropoutSpec& spec, TensorView x) {
  check_compute_type(x);
  FERULA_CHECK(spec.rate >= 0.0f && spec.rate < 1.0f, "a dropout rate of {}", spec.rate);
  if (x.count() == 0 || spec.rate == 0.0f) return;
  const TensorView matrix = as_matrix(x);
  FERULA_CHECK(spec.sample.count() == matrix.dim(0) && spec.position.count() == matrix.dim(0),
               "{} samples and {} positions for {} rows", spec.sample.count(), spec.position.count(), matrix.dim(0));
  const DropoutRows rule{.step = elements<const std::int64_t>(spec.step),
                         .sample = elements<const std::int64_t>(spec.sample),
                         .position = elements<const std::int32_t>(spec.position),
                         .key = spec.key,
                         .threshold = dropout_threshold(spec.rate) << 8,
                         .scale = static_cast<float>(1.0 / (1.0 - static_cast<double>(spec.rate)))};
  with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int kWide = kPackElements<T>;
    const std::int64_t rows = matrix.dim(0), width = matrix.dim(1);
    const auto launch = [&](auto v) {
      const std::int64_t per_row = width / v.value;
      const auto block_rows = std::clamp<std::int64_t>(kPiecesOfBlock / per_row, 1, kMostRowsOfBlock);
      launch_kernel({stream, blocks_for(rows, block_rows), kThreads}, "dropout", dropout_kernel<v.value, T>, rule,
                    {elements<T>(matrix), matrix.stride(0)}, rows, static_cast<int>(block_rows),
                    fast_divide_by(per_row));
    };
    rows_aligned(matrix, 16) && width % kWide == 0 ? launch(std::integral_constant<int, kWide>{})
                                                   : launch(std::integral_constant<int, 1>{});
  });
}

void fill_normal(cudaStream_t stream, TensorView x, std::uint64_t key, std::int64_t first, float std) {
  check_compute_type(x);
  FERULA_CHECK(x.contiguous(), "normal numbers want contiguous memory");
  if (x.count() == 0) return;
  with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    launch_kernel({stream, blocks_for(x.count(), kThreads), kThreads}, "fill_normal", fill_normal_kernel<T>,
                  elements<T>(x), x.count(), key, first, static_cast<double>(std));
  });
}

}  // namespace ferula::cuda
