// Keys and values of new rows into the key-value cache.
#include "ops/cuda/attention.hpp"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

constexpr int kThreads = 128;

template <class T>
struct AppendRows {
  const T* from;
  std::int64_t from_row, from_head;
  T* cache;
  std::int64_t slot_stride, position_stride, head_stride;
};

/// A block copies the keys (blockIdx.y = 0) or values (1) of one row.
template <class T>
__global__ void __launch_bounds__(kThreads)
    cache_append_kernel(AppendRows<T> keys, AppendRows<T> values, const std::int32_t* slot,
                        const std::int32_t* position, std::int64_t slots, std::int64_t length, int heads,
                        int head_dim) {
  await_previous_kernel();
  const AppendRows<T> rows = blockIdx.y == 0 ? keys : values;
  const std::int64_t row = blockIdx.x, to_slot = slot[row], to_position = position[row];
  if (to_slot < 0 || to_slot >= slots || to_position < 0 || to_position >= length) __trap();
  T* target = rows.cache + to_slot * rows.slot_stride + to_position * rows.position_stride;
  const T* source = rows.from + row * rows.from_row;
  for (int at = static_cast<int>(threadIdx.x); at < heads * head_dim; at += kThreads) {
    const int head = at / head_dim, column = at % head_dim;
    target[head * rows.head_stride + column] = source[head * rows.from_head + column];
  }
}

template <class T>
AppendRows<T> append_rows(const TensorView& from, const TensorView& cache) {
  return {elements<const T>(from), from.stride(0),  from.stride(1), elements<T>(cache),
          cache.stride(0),         cache.stride(1), cache.stride(2)};
}

void check_append(const TensorView& from, const TensorView& cache, const TensorView& slot, const TensorView& position) {
  FERULA_CHECK(from.rank == 3 && cache.rank == 4 && from.dtype == cache.dtype && from.dim(1) == cache.dim(2) &&
                   from.dim(2) == cache.dim(3) && from.stride(2) == 1 && cache.stride(3) == 1,
               "{} rows of {} heads of width {} and a cache of {} with {} heads of width {}", name_of(from.dtype),
               from.dim(1), from.dim(2), name_of(cache.dtype), cache.dim(2), cache.dim(3));
  FERULA_CHECK(slot.count() == from.dim(0) && position.count() == from.dim(0), "{} slots and {} positions for {} rows",
               slot.count(), position.count(), from.dim(0));
}

}  // namespace

void cache_append(cudaStream_t stream, TensorView k, TensorView v, TensorView slot, TensorView position,
                  TensorView k_cache, TensorView v_cache) {
  check_compute_type(k, v);
  if (k.dim(0) == 0) return;
  check_append(k, k_cache, slot, position);
  check_append(v, v_cache, slot, position);
  with_type(k.dtype, [&](auto type) {
    using T = decltype(type);
    launch_kernel({stream, dim3(blocks_for(k.dim(0), 1), 2), kThreads}, "cache_append", cache_append_kernel<T>,
                  append_rows<T>(k, k_cache), append_rows<T>(v, v_cache), elements<const std::int32_t>(slot),
                  elements<const std::int32_t>(position), std::min(k_cache.dim(0), v_cache.dim(0)),
                  std::min(k_cache.dim(1), v_cache.dim(1)), static_cast<int>(k.dim(1)), static_cast<int>(k.dim(2)));
  });
}

}  // namespace ferula::cuda
