// Cross-entropy. A block takes a row. Where its registers hold the row, memory is read once and one exponential is
// taken an element; other rows take one pass with an online maximum and sum (Milakov, Gimelshein 2018) and one that
// writes the gradient: the longest run one a multiprocessor, so that the second pass finds them in the L2 cache.
#include "ops/cuda/cross_entropy.hpp"
#include "ops/cuda/instructions.cuh"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

constexpr int kLogits = 4;  // of a thread at once
constexpr int kShortRowThreads = 256;
constexpr int kLongRowThreads = 1024;
constexpr std::int64_t kLongRow = 8192;  // columns

template <class T>
struct LossRows {
  Rows<const float> logits;
  const std::int32_t* target;
  float* losses;
  Rows<T> gradient;  // null: losses only
  std::int64_t vocabulary, columns;
  float scale;
  bool wide;  // rows can be read and written several elements at a time
};

/// Logits [column, column + kLogits), −∞ beyond the vocabulary.
__device__ __forceinline__ void load_logits(const float* row, std::int64_t column, std::int64_t vocabulary, bool wide,
                                            float (&x)[kLogits]) {
  if (wide && column + kLogits <= vocabulary) return load<kLogits>(row + column, x);
#pragma unroll
  for (int i = 0; i < kLogits; ++i) x[i] = column + i < vocabulary ? row[column + i] : -INFINITY;
}

/// The largest logit of a row and Σ e^(logit − largest).
struct Softmax {
  float largest, sum;
};

__device__ __forceinline__ Softmax softmax_of(const float* row, std::int64_t vocabulary, bool wide) {
  __shared__ float maxima[kWarp], sums[kWarp];
  Softmax mine{-INFINITY, 0.0f};
#pragma unroll 4
  for (std::int64_t column = threadIdx.x * kLogits; column < vocabulary; column += blockDim.x * kLogits) {
    float x[kLogits];
    load_logits(row, column, vocabulary, wide, x);
    const float largest = fmaxf(fmaxf(mine.largest, fmaxf(x[0], x[1])), fmaxf(x[2], x[3]));
    if (largest == -INFINITY) continue;
    float sum = mine.sum * __expf(mine.largest - largest);
#pragma unroll
    for (int i = 0; i < kLogits; ++i) sum += __expf(x[i] - largest);
    mine = {largest, sum};
  }
  const float largest = block_max(mine.largest, maxima);
  const float part = mine.sum == 0.0f ? 0.0f : mine.sum * __expf(mine.largest - largest);
  return {largest, block_sum(part, sums)};
}

constexpr int kPiecesAtOnce = 2;  // of a thread: it asks for so many before it writes the first

/// gradient = scale · (softmax − onehot), 0 in padding columns; from the end, which the cache saw last.
template <class T>
__device__ __forceinline__ void write_gradient(const LossRows<T>& views, const float* row, T* gradient, Softmax softmax,
                                               std::int64_t target) {
  const float factor = views.scale / softmax.sum;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kLogits;
  const std::int64_t first = static_cast<std::int64_t>(threadIdx.x) * kLogits;
  for (std::int64_t at = (views.columns + step - 1) / step - 1; at >= 0; at -= kPiecesAtOnce) {
    float x[kPiecesAtOnce][kLogits];
    const auto column_of = [&](int each) { return (at - each) * step + first; };
    const auto inside = [&](int each) { return at >= each && column_of(each) < views.columns; };
#pragma unroll
    for (int each = 0; each < kPiecesAtOnce; ++each)
      if (inside(each)) load_logits(row, column_of(each), views.vocabulary, views.wide, x[each]);
#pragma unroll
    for (int each = 0; each < kPiecesAtOnce; ++each) {
      if (!inside(each)) continue;
      const std::int64_t column = column_of(each);
#pragma unroll
      for (int i = 0; i < kLogits; ++i) {
        const float power = __expf(x[each][i] - softmax.largest);  // 0 beyond the vocabulary
        x[each][i] = column + i == target ? views.scale * (power / softmax.sum - 1.0f) : power * factor;
      }
      if (views.wide)
        store_some<kLogits>(x[each], views.columns - column, gradient + column);
      else
        for (int i = 0; i < kLogits && column + i < views.columns; ++i)
          gradient[column + i] = from_float<T>(x[each][i]);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kLongRowThreads) cross_entropy_kernel(LossRows<T> views) {
  await_previous_kernel();
  const std::int64_t row = blockIdx.x;
  const std::int64_t target = views.target[row];
  T* gradient = views.gradient.data == nullptr ? nullptr : views.gradient.row(row);
  if (target >= views.vocabulary) __trap();
  if (target < 0) {  // the same for the whole block
    if (threadIdx.x == 0) views.losses[row] = 0.0f;
    if (gradient == nullptr) return;
    for (std::int64_t column = threadIdx.x; column < views.columns; column += blockDim.x)
      gradient[column] = from_float<T>(0.0f);
    return;
  }
  const float* logits = views.logits.row(row);
  const Softmax softmax = softmax_of(logits, views.vocabulary, views.wide);
  if (threadIdx.x == 0) views.losses[row] = logf(softmax.sum) + (softmax.largest - logits[target]);
  if (gradient != nullptr) write_gradient(views, logits, gradient, softmax, target);
}

constexpr int kHeldThreads = 512;  // 128 registers each, of which the longest row takes 100
constexpr int kHeldColumns = kHeldThreads * kLogits;
constexpr std::int64_t kSharedOverhead = 2048;  // of a multiprocessor: what the system and the sums take

/// Asks for a row of logits in the L2 cache, by sectors of 32 bytes.
__device__ __forceinline__ void fetch_row(const float* row, std::int64_t columns) {
  constexpr int kSector = 8;
  for (std::int64_t at = static_cast<std::int64_t>(threadIdx.x) * kSector; at < columns; at += kHeldThreads * kSector)
    prefetch_sector(row + at);
}

/// Begins to copy the thread's own logits of a row into shared memory, where the thread alone reads them.
template <int K>
__device__ __forceinline__ void begin_copy(const float* row, int columns, float* staged) {
  const int first = static_cast<int>(threadIdx.x) * kLogits;
#pragma unroll
  for (int k = 0; k < K; ++k)
    if (const int at = first + k * kHeldColumns; at < columns) copy_async(shared_address(staged + at), row + at);
}

/// The thread's logits of a row, −∞ beyond the vocabulary, and the largest of them.
template <int K>
__device__ __forceinline__ float take_logits(const float* row, int columns, int vocabulary, float (&x)[K][kLogits]) {
  const int first = static_cast<int>(threadIdx.x) * kLogits;
#pragma unroll
  for (int k = 0; k < K; ++k)
    if (first + k * kHeldColumns < columns) load<kLogits>(row + first + k * kHeldColumns, x[k]);
  float largest = -INFINITY;
#pragma unroll
  for (int k = 0; k < K; ++k) {
    if ((k + 1) * kHeldColumns > vocabulary)
#pragma unroll
      for (int i = 0; i < kLogits; ++i)
        if (first + k * kHeldColumns + i >= vocabulary) x[k][i] = -INFINITY;
#pragma unroll
    for (int i = 0; i < kLogits; ++i) largest = fmaxf(largest, x[k][i]);
  }
  return largest;
}

/// x becomes e^(x − largest), 0 beyond the vocabulary; their sum.
template <int K>
__device__ __forceinline__ float take_powers(float largest, float (&x)[K][kLogits]) {
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < K; ++k)
#pragma unroll
    for (int i = 0; i < kLogits; ++i) {
      x[k][i] = __expf(x[k][i] - largest);
      sum += x[k][i];
    }
  return sum;
}

/// How the next row comes nearer while a block computes and writes this one.
enum class NextRow : std::uint8_t { stays, into_cache, into_shared };

/// A block walks over rows and holds each of them, K · kLogits columns a thread; columns are a multiple of kLogits.
template <int K, NextRow Next, class T>
__global__ void __launch_bounds__(kHeldThreads, 1) held_cross_entropy_kernel(LossRows<T> views, int rows) {
  await_previous_kernel();
  __shared__ float maxima[kWarp], sums[kWarp];
  auto* staged = dynamic_shared<float>();  // a row of logits
  const auto columns = static_cast<int>(views.columns), vocabulary = static_cast<int>(views.vocabulary);
  const int first = static_cast<int>(threadIdx.x) * kLogits;
  const auto fetch = [&](int row) {
    if (row >= rows) return;
    if constexpr (Next == NextRow::into_cache) fetch_row(views.logits.row(row), columns);
    if constexpr (Next == NextRow::into_shared) begin_copy<K>(views.logits.row(row), columns, staged);
  };
  if constexpr (Next == NextRow::into_shared) fetch(static_cast<int>(blockIdx.x));
  for (int row = static_cast<int>(blockIdx.x); row < rows; row += static_cast<int>(gridDim.x)) {
    const int target = views.target[row], next = row + static_cast<int>(gridDim.x);
    if (target >= vocabulary) __trap();
    T* gradient = views.gradient.data == nullptr ? nullptr : views.gradient.row(row) + first;
    if constexpr (Next == NextRow::into_shared) wait_for_copies();
    if (target < 0) {  // the same for the whole block
      fetch(next);
      const float zeros[kLogits] = {};
      if (threadIdx.x == 0) views.losses[row] = 0.0f;
      for (int at = 0; gradient != nullptr && at + first < columns; at += kHeldColumns) store(zeros, gradient + at);
      continue;
    }
    const float* logits = views.logits.row(row);
    const float target_logit = logits[target];
    float x[K][kLogits];
    const float mine = take_logits<K>(Next == NextRow::into_shared ? staged : logits, columns, vocabulary, x);
    if constexpr (Next == NextRow::into_shared) fetch(next);  // the thread has read what this overwrites
    const float largest = block_max(mine, maxima);
    if constexpr (Next == NextRow::into_cache) fetch(next);  // this row has arrived
    const float sum = block_sum(take_powers<K>(largest, x), sums);
    if (threadIdx.x == 0) views.losses[row] = logf(sum) + (largest - target_logit);
    if (gradient == nullptr) continue;
    const float factor = views.scale / sum;
#pragma unroll
    for (int k = 0; k < K; ++k) {
#pragma unroll
      for (int i = 0; i < kLogits; ++i) x[k][i] *= factor;
      if (first + k * kHeldColumns < columns) store<kLogits>(x[k], gradient + k * kHeldColumns);
    }
    if (static_cast<int>(threadIdx.x) == target / kLogits % kHeldThreads)  // the thread that has written it
      gradient[target - first] = from_float<T>(views.scale * (__expf(target_logit - largest) / sum - 1.0f));
  }
}

template <int K, NextRow Next, class T>
void launch_held(const LossRows<T>& views, int rows, unsigned blocks, cudaStream_t stream) {
  std::size_t shared = 0;
  if constexpr (Next == NextRow::into_shared) {
    shared = static_cast<std::size_t>(views.columns) * sizeof(float);
    check_cuda(cudaFuncSetAttribute(held_cross_entropy_kernel<K, Next, T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shared)),
               "cudaFuncSetAttribute");
  }
  launch_kernel({stream, blocks, kHeldThreads, shared}, "cross_entropy", held_cross_entropy_kernel<K, Next, T>, views,
                rows);
}

/// Whether a held row was launched.
template <class T>
bool launch_held(const LossRows<T>& views, std::int64_t rows, const LossGpu& gpu, cudaStream_t stream) {
  if (!views.wide || views.columns % kLogits != 0 || views.columns < kLongRow) return false;
  const std::int64_t blocks = std::min<std::int64_t>(rows, gpu.multiprocessors);
  const std::int64_t row_bytes = views.columns * static_cast<std::int64_t>(sizeof(float));
  const bool shared = row_bytes + kSharedOverhead <= gpu.multiprocessor_shared_bytes;
  const bool cache = blocks * row_bytes <= gpu.cache_bytes / 3 * 2;
  const auto launch = [&](auto k) {
    if (views.columns > k.value * kHeldColumns) return false;
    const auto with = [&](auto next) {
      launch_held<k.value, next.value>(views, narrow<int>(rows), static_cast<unsigned>(blocks), stream);
    };
    if (shared)
      with(std::integral_constant<NextRow, NextRow::into_shared>{});
    else if (cache)
      with(std::integral_constant<NextRow, NextRow::into_cache>{});
    else
      with(std::integral_constant<NextRow, NextRow::stays>{});
    return true;
  };
  return launch(std::integral_constant<int, 8>{}) || launch(std::integral_constant<int, 16>{}) ||
         launch(std::integral_constant<int, 25>{});
}

/// More than half of a multiprocessor's shared memory keeps a second block away from it.
template <class T>
std::size_t reserved_bytes(std::int64_t multiprocessor_shared_bytes) {
  const std::int64_t bytes = multiprocessor_shared_bytes / 2 + 1024;
  check_cuda(cudaFuncSetAttribute(cross_entropy_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(bytes)),
             "cudaFuncSetAttribute");
  return static_cast<std::size_t>(bytes);
}

}  // namespace

void cross_entropy(cudaStream_t stream, const LossGpu& gpu, TensorView logits, TensorView target,
                   std::int64_t vocabulary, float scale, TensorView losses, TensorView dlogits) {
  if (logits.empty()) return;
  const std::int64_t rows = logits.dim(0), columns = logits.dim(1);
  FERULA_CHECK(logits.rank == 2 && vocabulary >= 1 && vocabulary <= columns, "a vocabulary of {} in {} columns",
               vocabulary, columns);
  FERULA_CHECK(logits.stride(1) == 1 && (dlogits.empty() || dlogits.stride(1) == 1), "columns do not lie together");
  FERULA_CHECK(target.count() == rows && losses.count() == rows, "{} targets and {} losses for {} rows", target.count(),
               losses.count(), rows);
  with_type(dlogits.empty() ? DType::f32 : dlogits.dtype, [&](auto type) {
    using T = decltype(type);
    const bool has_gradient = !dlogits.empty();
    const LossRows<T> views{
        .logits = {elements<const float>(logits), logits.stride(0)},
        .target = elements<const std::int32_t>(target),
        .losses = elements<float>(losses),
        .gradient = {has_gradient ? elements<T>(dlogits) : nullptr, has_gradient ? dlogits.stride(0) : 0},
        .vocabulary = vocabulary,
        .columns = columns,
        .scale = scale,
        .wide = rows_aligned(logits, 16) && (!has_gradient || rows_aligned(dlogits, pack_bytes(dlogits, kLogits)))};
    if (launch_held<T>(views, rows, gpu, stream)) return;
    const bool is_long = columns >= kLongRow;
    launch_kernel({stream, blocks_for(rows, 1), is_long ? kLongRowThreads : kShortRowThreads,
                   is_long ? reserved_bytes<T>(gpu.multiprocessor_shared_bytes) : 0},
                  "cross_entropy", cross_entropy_kernel<T>, views);
  });
}

}  // namespace ferula::cuda
