// Table look-ups by rows, and the ordered sums of their gradients.
#include "ops/cuda/embedding.hpp"
#include "ops/cuda/launch.hpp"
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

constexpr int kRankTile = 1024;  // indices that a block of the sort holds in shared memory

__global__ void __launch_bounds__(kThreads)
    copy_indices_kernel(const std::int32_t* index, std::int64_t rows, std::int32_t* copy, std::int32_t* rank) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (row >= rows) return;
  copy[row] = index[row];
  rank[row] = 0;
}

/// rank[r] += how many rows of a tile come before r in the sorted order: those of a smaller index, and earlier ones of
/// the same. Integers, so the order of the additions does not matter.
__global__ void __launch_bounds__(kThreads)
    rank_rows_kernel(const std::int32_t* index, std::int64_t rows, std::int32_t* rank) {
  __shared__ std::int32_t tile[kRankTile];
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.y) * kRankTile;
  const int count = static_cast<int>(min(static_cast<std::int64_t>(kRankTile), rows - begin));
  for (int at = static_cast<int>(threadIdx.x); at < count; at += kThreads) tile[at] = index[begin + at];
  __syncthreads();
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (row >= rows) return;
  const std::int32_t mine = index[row];
  const int earlier = static_cast<int>(max(min(row - begin, static_cast<std::int64_t>(count)), std::int64_t{0}));
  int before = 0;
#pragma unroll 8
  for (int at = 0; at < earlier; ++at) before += tile[at] <= mine ? 1 : 0;
#pragma unroll 8
  for (int at = earlier; at < count; ++at) before += tile[at] < mine ? 1 : 0;
  if (before > 0) atomicAdd(rank + row, before);
}

__global__ void __launch_bounds__(kThreads)
    place_rows_kernel(const std::int32_t* rank, std::int64_t rows, std::int32_t* sorted) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (row < rows) sorted[rank[row]] = static_cast<std::int32_t>(row);
}

/// The block at the first of a run of equal indices adds the run's rows to the table: kWarps of them at once, each warp
/// every kWarps-th, then the warps in order. A block owns 32 · V columns.
template <int V, class T>
__global__ void __launch_bounds__(kThreads)
    add_runs_kernel(const std::int32_t* index, const std::int32_t* sorted, std::int64_t rows, Rows<const T> dy,
                    std::int64_t width, Rows<float> table, std::int64_t table_rows) {
  const std::int64_t begin = blockIdx.x;
  const std::int32_t mine = index[sorted[begin]];
  if (begin > 0 && index[sorted[begin - 1]] == mine) return;  // the same for all threads
  if (mine < 0 || mine >= table_rows) __trap();
  __shared__ float sums[kWarps][kWarp * V];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t column = (static_cast<std::int64_t>(blockIdx.y) * kWarp + lane) * V;
  float sum[V] = {};
#pragma unroll 2
  for (std::int64_t at = begin + warp; at < rows; at += kWarps) {
    const std::int32_t row = sorted[at];
    if (index[row] != mine) break;
    if (column >= width) continue;
    float values[V];
    load<V>(dy.row(row) + column, values);
#pragma unroll
    for (int i = 0; i < V; ++i) sum[i] += values[i];
  }
#pragma unroll
  for (int i = 0; i < V; ++i) sums[warp][lane * V + i] = sum[i];
  __syncthreads();
  for (int at = static_cast<int>(threadIdx.x); at < kWarp * V; at += kThreads) {
    const std::int64_t target = static_cast<std::int64_t>(blockIdx.y) * kWarp * V + at;
    if (target >= width) continue;
    float total = sums[0][at];
#pragma unroll
    for (int each = 1; each < kWarps; ++each) total += sums[each][at];
    table.row(mine)[target] += total;
  }
}

/// table[index[r]] += dy[r].
void add_rows_of(Workspace& workspace, cudaStream_t stream, const TensorView& index, const TensorView& dy,
                 const TensorView& table) {
  const std::int64_t rows = dy.dim(0), width = dy.dim(1);
  if (table.empty() || rows == 0) return;
  FERULA_CHECK(index.count() == rows && table.dim(1) == width, "{} indices for {} rows", index.count(), rows);
  Workspace::Lease scratch = workspace.lease(stream, 3 * scratch_bytes(rows, sizeof(std::int32_t)));
  auto* copy = scratch.take<std::int32_t>(rows);
  auto* rank = scratch.take<std::int32_t>(rows);
  auto* sorted = scratch.take<std::int32_t>(rows);
  const unsigned blocks = blocks_for(rows, kThreads);
  copy_indices_kernel<<<blocks, kThreads, 0, stream>>>(elements<const std::int32_t>(index), rows, copy, rank);
  check_launch("embed_backward");
  const dim3 tiles(blocks, blocks_for(rows, kRankTile));
  rank_rows_kernel<<<tiles, kThreads, 0, stream>>>(copy, rows, rank);
  check_launch("embed_backward");
  place_rows_kernel<<<blocks, kThreads, 0, stream>>>(rank, rows, sorted);
  check_launch("embed_backward");
  with_type(dy.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int kWide = 16 / static_cast<int>(sizeof(T));
    const Rows<const T> gradient{elements<const T>(dy), dy.stride(0)};
    const Rows<float> target{elements<float>(table), table.stride(0)};
    const auto grid = [&](int v) {
      return dim3(blocks_for(rows, 1), blocks_for(width, static_cast<std::int64_t>(kWarp) * v));
    };
    if (rows_aligned(dy, 16) && width % kWide == 0)
      add_runs_kernel<kWide, T>
          <<<grid(kWide), kThreads, 0, stream>>>(copy, sorted, rows, gradient, width, target, table.dim(0));
    else
      add_runs_kernel<1, T>
          <<<grid(1), kThreads, 0, stream>>>(copy, sorted, rows, gradient, width, target, table.dim(0));
  });
  check_launch("embed_backward");
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
      embed_kernel<v.value, T><<<blocks_for(rows, kWarps * kRowsOfWarp), kThreads, 0, stream>>>(
          elements<const std::int32_t>(token), positions.empty() ? nullptr : elements<const std::int32_t>(position),
          {elements<const T>(table), table.stride(0)}, table.dim(0),
          {positions.empty() ? nullptr : elements<const T>(positions), positions.empty() ? 0 : positions.stride(0)},
          positions.empty() ? 0 : positions.dim(0), {elements<T>(y), y.stride(0)}, rows, width);
    };
    wide ? launch(std::integral_constant<int, kWide>{}) : launch(std::integral_constant<int, 1>{});
  });
  check_launch("embed");
}

void embed_backward(Workspace& workspace, cudaStream_t stream, TensorView token, TensorView position, TensorView dy,
                    TensorView dtable, TensorView dpositions) {
  check_compute_type(dy);
  add_rows_of(workspace, stream, token, dy, dtable);
  add_rows_of(workspace, stream, position, dy, dpositions);
}

}  // namespace ferula::cuda
