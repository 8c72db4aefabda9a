// Table look-ups by rows, and the ordered sums of their gradients.
#include <bit>
#include <cub/device/device_radix_sort.cuh>
#include <vector>

#include "ops/cuda/embedding.hpp"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kRowsOfWarp = 4;  // indices may lie in host memory: a block reads many of them at once

/// y[r] = table[token[r]] + positions[position[r]]; a warp takes a row at a time.
template <int V, class T>
__global__ void __launch_bounds__(kThreads)
    embed_kernel(const std::int32_t* token, const std::int32_t* position, Rows<const T> table, std::int64_t table_rows,
                 Rows<const T> positions, std::int64_t position_rows, Rows<T> y, std::int64_t rows,
                 std::int64_t width) {
  await_previous_kernel();
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t first = (static_cast<std::int64_t>(blockIdx.x) * kWarps + warp) * kRowsOfWarp;
  const bool has_index = lane < kRowsOfWarp && first + lane < rows;
  const int my_token = has_index ? token[first + lane] : 0;
  const int my_position = has_index && positions.data != nullptr ? position[first + lane] : 0;
  if (my_token < 0 || my_token >= table_rows) __trap();
  if (positions.data != nullptr && (my_position < 0 || my_position >= position_rows)) __trap();
  for (int each = 0; each < kRowsOfWarp && first + each < rows; ++each) {
    const T* value = table.row(__shfl_sync(kAllLanes, my_token, each));
    const int place = __shfl_sync(kAllLanes, my_position, each);
    const T* shift = positions.data == nullptr ? nullptr : positions.row(place);
    T* out = y.row(first + each);
    for (std::int64_t column = lane * V; column < width; column += kWarp * V) {
      float sum[V];
      load<V>(value + column, sum);
      if (shift != nullptr) {
        float term[V];
        load<V>(shift + column, term);
#pragma unroll
        for (int i = 0; i < V; ++i) sum[i] += term[i];
      }
      store<V>(sum, out + column);
    }
  }
}

constexpr int kRowsAtOnce = 8;  // of a warp: it asks for so many before it adds the first
constexpr unsigned kNoKey = 0xffffffffu;

/// Tables that one backward pass adds to: their rows are numbered through, those of the second behind the first.
struct GradientTables {
  Rows<float> first, second;
  const std::int32_t *first_index = nullptr, *second_index = nullptr;
  std::int64_t first_rows = 0, second_rows = 0;  // 0: there is no second

  __device__ __forceinline__ float* row(unsigned key) const {
    return key < first_rows ? first.row(key) : second.row(key - first_rows);
  }
};

/// key[i] is the number of the table row that look-up i has read, row[i] its row of the gradient.
__global__ void __launch_bounds__(kThreads)
    make_keys_kernel(GradientTables tables, std::int64_t rows, std::int64_t count, unsigned* key, std::int32_t* row) {
  await_previous_kernel();
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= count) return;
  const bool is_second = at >= rows;
  const std::int64_t mine = is_second ? at - rows : at;
  const std::int32_t index = is_second ? tables.second_index[mine] : tables.first_index[mine];
  if (index < 0 || index >= (is_second ? tables.second_rows : tables.first_rows)) __trap();
  key[at] = static_cast<unsigned>(index + (is_second ? tables.first_rows : 0));
  row[at] = static_cast<std::int32_t>(mine);
}

/// Look-ups in the order of their table rows, those of one table row in the order of the batch.
struct SortedLookUps {
  const unsigned* key;
  const std::int32_t* row;
  std::int64_t count;
};

/// sum += the rows of the gradient that lanes [begin, end) of the warp name, in their order; V columns of each thread.
template <int V, class T>
__device__ __forceinline__ void sum_rows(Rows<const T> dy, std::int32_t row_of_lane, int begin, int end,
                                         std::int64_t column, std::int64_t width, float (&sum)[V]) {
  for (int at = begin; at < end; at += kRowsAtOnce) {
    Raw<T, V> raw[kRowsAtOnce];
#pragma unroll
    for (int each = 0; each < kRowsAtOnce; ++each) {
      const std::int32_t row = __shfl_sync(kAllLanes, row_of_lane, min(at + each, kWarp - 1));
      if (at + each < end && column < width) raw[each] = load_raw<V>(dy.row(row) + column);
    }
#pragma unroll
    for (int each = 0; each < kRowsAtOnce; ++each)
#pragma unroll
      for (int i = 0; i < V; ++i) sum[i] += raw[each].at(i);
  }
}

/// The run of look-ups of table row `key` that begins at `begin` and leaves its window: the warps of the block take 32
/// of them in turn, then add their sums in order.
template <int V, class T>
__device__ __forceinline__ void add_long_run(SortedLookUps sorted, unsigned key, std::int64_t begin, Rows<const T> dy,
                                             std::int64_t width, float* table_row) {
  __shared__ float sums[kWarps][kWarp * V];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t first_column = static_cast<std::int64_t>(blockIdx.y) * kWarp * V;
  float sum[V] = {};
  for (std::int64_t at = begin + warp * kWarp;; at += kWarps * kWarp) {
    const bool belongs = at + lane < sorted.count && sorted.key[at + lane] == key;
    const int many = __popc(__ballot_sync(kAllLanes, belongs));  // the first of the lanes
    if (many == 0) break;
    sum_rows<V>(dy, belongs ? sorted.row[at + lane] : 0, 0, many, first_column + lane * V, width, sum);
  }
#pragma unroll
  for (int i = 0; i < V; ++i) sums[warp][lane * V + i] = sum[i];
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < kWarp * V; at += kThreads) {
    if (first_column + at >= width) continue;
    float total = sums[0][at];
#pragma unroll
    for (int each = 1; each < kWarps; ++each) total += sums[each][at];
    table_row[first_column + at] += total;
  }
}

/// A block takes the runs of equal keys that begin in a window of 32 look-ups, its warps one run after the other, and
/// 32 · V columns. Each row of a table is written by one block, once.
template <int V, class T>
__global__ void __launch_bounds__(kThreads)
    add_runs_kernel(SortedLookUps sorted, Rows<const T> dy, std::int64_t width, GradientTables tables) {
  await_previous_kernel();
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t base = static_cast<std::int64_t>(blockIdx.x) * kWarp, mine = base + lane;
  const std::int64_t column = (static_cast<std::int64_t>(blockIdx.y) * kWarp + lane) * V;
  const auto key_at = [&](std::int64_t at) { return at >= 0 && at < sorted.count ? sorted.key[at] : kNoKey; };
  const unsigned key = key_at(mine), behind = key_at(base + kWarp);
  const std::int32_t row = mine < sorted.count ? sorted.row[mine] : 0;
  const unsigned starts = __ballot_sync(kAllLanes, key != key_at(mine - 1) && key != kNoKey);
  const bool leaves = behind != kNoKey && __shfl_sync(kAllLanes, key, kWarp - 1) == behind;
  const int inside = static_cast<int>(min(static_cast<std::int64_t>(kWarp), sorted.count - base));
  int number = 0;
  for (unsigned rest = starts; rest != 0; ++number) {
    const int begin = __ffs(static_cast<int>(rest)) - 1;
    rest &= rest - 1;
    const unsigned run_key = __shfl_sync(kAllLanes, key, begin);
    if (rest == 0 && leaves)  // the same for the whole block
      return add_long_run<V>(sorted, run_key, base + begin, dy, width, tables.row(run_key));
    if (number % kWarps != warp) continue;
    const int end = rest == 0 ? inside : __ffs(static_cast<int>(rest)) - 1;
    float sum[V] = {};
    sum_rows<V>(dy, row, begin, end, column, width, sum);
    if (column >= width) continue;
    float total[V];
    float* target = tables.row(run_key) + column;
    load<V>(target, total);
#pragma unroll
    for (int i = 0; i < V; ++i) total[i] += sum[i];
    store<V>(total, target);
  }
}

/// Memory of the look-ups of one backward pass, and of the sort.
struct LookUpBuffers {
  unsigned *key, *sorted_key;
  std::int32_t *row, *sorted_row;
};

/// Sorts, stably, by the lowest bits that a key can have. Without memory it only tells how much it wants.
void sort_look_ups(void* memory, std::size_t& bytes, const LookUpBuffers& buffers, std::int64_t count,
                   std::int64_t keys, cudaStream_t stream) {
  const auto bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(keys)));
  check_cuda(cub::DeviceRadixSort::SortPairs(memory, bytes, buffers.key, buffers.sorted_key, buffers.row,
                                             buffers.sorted_row, narrow<int>(count), 0, bits, stream),
             "the sort of embed_backward");
}

/// tables[index[r]] += dy[r], for one look-up of each row or for two.
void add_rows_of(Workspace& workspace, cudaStream_t stream, const GradientTables& tables, const TensorView& dy,
                 bool tables_aligned) {
  const std::int64_t rows = dy.dim(0), width = dy.dim(1);
  const std::int64_t count = tables.second_rows == 0 ? rows : 2 * rows, keys = tables.first_rows + tables.second_rows;
  std::size_t sort_bytes = 0;
  sort_look_ups(nullptr, sort_bytes, {}, count, keys, stream);
  const auto sort_scratch = static_cast<std::int64_t>(sort_bytes);
  Workspace::Lease scratch =
      workspace.lease(stream, 4 * scratch_bytes(count, sizeof(unsigned)) + scratch_bytes(sort_scratch, 1));
  const LookUpBuffers buffers{scratch.take<unsigned>(count), scratch.take<unsigned>(count),
                              scratch.take<std::int32_t>(count), scratch.take<std::int32_t>(count)};
  launch_kernel({stream, blocks_for(count, kThreads), kThreads}, "make_keys", make_keys_kernel, tables, rows, count,
                buffers.key, buffers.row);
  sort_look_ups(scratch.take<std::byte>(sort_scratch), sort_bytes, buffers, count, keys, stream);
  with_type(dy.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int kWide = 16 / static_cast<int>(sizeof(T));
    const auto launch = [&](auto v) {
      const dim3 grid(blocks_for(count, kWarp), blocks_for(width, static_cast<std::int64_t>(kWarp) * v.value));
      launch_kernel({stream, grid, kThreads}, "add_runs", add_runs_kernel<v.value, T>,
                    {buffers.sorted_key, buffers.sorted_row, count}, {elements<const T>(dy), dy.stride(0)}, width,
                    tables);
    };
    tables_aligned&& rows_aligned(dy, 16) && width % kWide == 0 ? launch(std::integral_constant<int, kWide>{})
                                                                : launch(std::integral_constant<int, 1>{});
  });
}

}  // namespace

void embed(cudaStream_t stream, TensorView token, TensorView position, TensorView table, TensorView positions,
           TensorView y) {
  check_compute_type(table, y);
  const std::int64_t rows = y.dim(0), width = y.dim(1);
  if (rows == 0 || width == 0) return;
  FERULA_CHECK(token.count() == rows && (positions.empty() || position.count() == rows), "{} tokens for {} rows",
               token.count(), rows);
  with_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int kWide = 16 / static_cast<int>(sizeof(T));
    const bool wide = rows_aligned(table, 16) && rows_aligned(y, 16) && width % kWide == 0 &&
                      (positions.empty() || rows_aligned(positions, 16));
    const auto launch = [&](auto v) {
      launch_kernel(
          {stream, blocks_for(rows, kWarps * kRowsOfWarp), kThreads}, "embed", embed_kernel<v.value, T>,
          elements<const std::int32_t>(token), positions.empty() ? nullptr : elements<const std::int32_t>(position),
          {elements<const T>(table), table.stride(0)}, table.dim(0),
          {positions.empty() ? nullptr : elements<const T>(positions), positions.empty() ? 0 : positions.stride(0)},
          positions.empty() ? 0 : positions.dim(0), {elements<T>(y), y.stride(0)}, rows, width);
    };
    wide ? launch(std::integral_constant<int, kWide>{}) : launch(std::integral_constant<int, 1>{});
  });
}

void embed_backward(Workspace& workspace, cudaStream_t stream, TensorView token, TensorView position, TensorView dy,
                    TensorView dtable, TensorView dpositions) {
  check_compute_type(dy);
  const std::int64_t rows = dy.dim(0), width = dy.dim(1);
  if (rows == 0 || width == 0) return;
  struct LookUp {
    TensorView index, table;
  };
  std::vector<LookUp> wanted;
  for (const LookUp& each : {LookUp{token, dtable}, LookUp{position, dpositions}}) {
    if (each.table.empty()) continue;
    FERULA_CHECK(each.index.count() == rows && each.table.dim(1) == width, "{} indices of rows of {} for {} rows of {}",
                 each.index.count(), each.table.dim(1), rows, width);
    wanted.push_back(each);
  }
  if (wanted.empty()) return;
  const auto table_of = [](const LookUp& look_up) {
    return Rows<float>{elements<float>(look_up.table), look_up.table.stride(0)};
  };
  GradientTables tables;
  tables.first = table_of(wanted.front());
  tables.first_index = elements<const std::int32_t>(wanted.front().index);
  tables.first_rows = wanted.front().table.dim(0);
  if (wanted.size() == 2) {
    tables.second = table_of(wanted.back());
    tables.second_index = elements<const std::int32_t>(wanted.back().index);
    tables.second_rows = wanted.back().table.dim(0);
  }
  add_rows_of(workspace, stream, tables, dy, std::all_of(wanted.begin(), wanted.end(), [](const LookUp& look_up) {
                return rows_aligned(look_up.table, 16);
              }));
}

}  // namespace ferula::cuda
