// Attention over a key-value cache, for generation. A warp takes every 8th key of a block's part; its lanes share the
// elements of a head. The softmax is online in each warp; the warps of a block, and blocks that share a row, are
// joined.
#include "ops/cuda/attention.hpp"
#include "ops/cuda/launch.hpp"
#include "ops/cuda/previous_kernel.cuh"
#include "ops/cuda/reduce.cuh"
#include "ops/cuda/rows.cuh"

namespace ferula::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kKeysTogether = 4;              // of a warp: independent loads hide their latency
constexpr std::int64_t kLeastPartKeys = 128;  // of a block, before a row is split
constexpr float kLog2e = 1.4426950408889634f;

/// A cache [slots, length, kv_heads, head_dim].
template <class T>
struct Cache {
  T* data;
  std::int64_t slot_stride, position_stride, head_stride;

  __device__ __forceinline__ T* at(std::int64_t slot, std::int64_t position, std::int64_t head) const {
    return data + slot * slot_stride + position * position_stride + head * head_stride;
  }
};

template <class T>
struct CachedCall {
  const T* q;
  std::int64_t q_row, q_head;
  T* out;
  std::int64_t out_row, out_head;
  Cache<const T> k, v;
  const std::int32_t* slot;
  const std::int32_t* position;
  std::int64_t slots, length, part_keys;
  int heads, group, head_dim, parts;
  float scale;
  float* partial;  // [rows, heads, parts, head_dim + 2]: sums, maximum, total; null where a row has one part
};

/// The softmax so far and its weighted sum of values; logarithms to base 2.
template <int E>
struct Online {
  float maximum = -INFINITY, total = 0.0f;
  float sums[E] = {};

  /// Brings another part in.
  __device__ __forceinline__ void join(float other_maximum, float other_total, const float (&other)[E]) {
    const float largest = fmaxf(maximum, other_maximum);
    if (largest == -INFINITY) return;
    const float mine = exp2f(maximum - largest), theirs = exp2f(other_maximum - largest);
#pragma unroll
    for (int e = 0; e < E; ++e) sums[e] = sums[e] * mine + other[e] * theirs;
    total = total * mine + other_total * theirs;
    maximum = largest;
  }
};

/// The lane's E elements of a row of a head; zeros behind its end.
template <int E, bool kWide, class T>
__device__ __forceinline__ void load_lane(const T* row, int head_dim, float (&x)[E]) {
  const int first = static_cast<int>(threadIdx.x) % kWarp * E;
  if constexpr (kWide) {
    if (first < head_dim) return load<E>(row + first, x);
#pragma unroll
    for (int e = 0; e < E; ++e) x[e] = 0.0f;
  } else {
#pragma unroll
    for (int e = 0; e < E; ++e) x[e] = first + e < head_dim ? to_float(row[first + e]) : 0.0f;
  }
}

/// One warp's keys of [begin, end): every kWarps-th group of kKeysTogether.
template <int E, bool kWide, class T>
__device__ __forceinline__ Online<E> attend(const CachedCall<T>& call, const float (&query)[E], std::int64_t slot,
                                            int kv_head, std::int64_t begin, std::int64_t end) {
  Online<E> state;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  for (std::int64_t key = begin + warp * kKeysTogether; key < end; key += kWarps * kKeysTogether) {
    float scores[kKeysTogether], values[kKeysTogether][E];
#pragma unroll
    for (int i = 0; i < kKeysTogether; ++i) {
      const std::int64_t at = min(key + i, end - 1);
      float keys[E];
      load_lane<E, kWide>(call.k.at(slot, at, kv_head), call.head_dim, keys);
      load_lane<E, kWide>(call.v.at(slot, at, kv_head), call.head_dim, values[i]);
      float sum = 0.0f;
#pragma unroll
      for (int e = 0; e < E; ++e) sum = fmaf(query[e], keys[e], sum);
      scores[i] = sum;
    }
    float largest = state.maximum;
#pragma unroll
    for (int i = 0; i < kKeysTogether; ++i) {
      scores[i] = warp_sum(scores[i]);
      if (key + i >= end) scores[i] = -INFINITY;
      largest = fmaxf(largest, scores[i]);
    }
    const float factor = exp2f(state.maximum - largest);  // the first key of the group is inside: not −∞
    state.total *= factor;
#pragma unroll
    for (int e = 0; e < E; ++e) state.sums[e] *= factor;
#pragma unroll
    for (int i = 0; i < kKeysTogether; ++i) {
      const float weight = exp2f(scores[i] - largest);
      state.total += weight;
#pragma unroll
      for (int e = 0; e < E; ++e) state.sums[e] = fmaf(weight, values[i][e], state.sums[e]);
    }
    state.maximum = largest;
  }
  return state;
}

/// Writes E elements of a lane that lie before head_dim.
template <int E, class T>
__device__ __forceinline__ void store_lane(const float (&x)[E], float factor, int head_dim, T* row) {
  const int first = static_cast<int>(threadIdx.x) % kWarp * E;
#pragma unroll
  for (int e = 0; e < E; ++e)
    if (first + e < head_dim) row[first + e] = from_float<T>(factor * x[e]);
}

template <int E, bool kWide, class T>
__global__ void __launch_bounds__(kThreads) attention_cached_kernel(const __grid_constant__ CachedCall<T> call) {
  await_previous_kernel();
  __shared__ float maxima[kWarps], totals[kWarps], sums[kWarps][E * kWarp];
  const std::int64_t row = blockIdx.x;
  const int head = static_cast<int>(blockIdx.y), part = static_cast<int>(blockIdx.z);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t slot = call.slot[row], position = call.position[row];
  if (slot < 0 || slot >= call.slots || position < 0 || position >= call.length) __trap();
  const std::int64_t begin = part * call.part_keys, end = min(begin + call.part_keys, position + 1);
  float query[E];
  load_lane<E, kWide>(call.q + row * call.q_row + head * call.q_head, call.head_dim, query);
#pragma unroll
  for (int e = 0; e < E; ++e) query[e] *= call.scale * kLog2e;
  const Online<E> mine = attend<E, kWide>(call, query, slot, head / call.group, begin, end);
#pragma unroll
  for (int e = 0; e < E; ++e) sums[warp][lane * E + e] = mine.sums[e];
  if (lane == 0) {
    maxima[warp] = mine.maximum;
    totals[warp] = mine.total;
  }
  __syncthreads();
  if (warp != 0) return;
  Online<E> all = mine;
  for (int other = 1; other < kWarps; ++other) {
    float their_sums[E];
#pragma unroll
    for (int e = 0; e < E; ++e) their_sums[e] = sums[other][lane * E + e];
    all.join(maxima[other], totals[other], their_sums);
  }
  if (call.partial == nullptr)
    return store_lane<E>(all.sums, 1.0f / all.total, call.head_dim,
                         call.out + row * call.out_row + head * call.out_head);
  float* place = call.partial + ((row * call.heads + head) * call.parts + part) * (call.head_dim + 2);
  store_lane<E>(all.sums, 1.0f, call.head_dim, place);
  if (lane == 0) {
    place[call.head_dim] = all.maximum;
    place[call.head_dim + 1] = all.total;
  }
}

/// Joins the parts of each row in their order; one warp a head.
template <int E, class T>
__global__ void __launch_bounds__(kWarp) join_parts_kernel(const __grid_constant__ CachedCall<T> call) {
  await_previous_kernel();
  const std::int64_t row = blockIdx.x;
  const int head = static_cast<int>(blockIdx.y);
  Online<E> all;
  for (int part = 0; part < call.parts; ++part) {
    const float* place = call.partial + ((row * call.heads + head) * call.parts + part) * (call.head_dim + 2);
    float sums[E];
    load_lane<E, false>(place, call.head_dim, sums);
    all.join(place[call.head_dim], place[call.head_dim + 1], sums);
  }
  store_lane<E>(all.sums, 1.0f / all.total, call.head_dim, call.out + row * call.out_row + head * call.out_head);
}

/// Blocks that one launch should have at least: below, rows are split.
std::int64_t wanted_blocks(int multiprocessors) { return 4 * static_cast<std::int64_t>(multiprocessors); }

/// Into how many parts the keys of each row are split.
std::int64_t parts_of(int multiprocessors, std::int64_t blocks, std::int64_t length) {
  const std::int64_t most = std::max<std::int64_t>(1, length / kLeastPartKeys);
  return std::clamp<std::int64_t>(wanted_blocks(multiprocessors) / std::max<std::int64_t>(1, blocks), 1, most);
}

template <class T>
Cache<T> cache_of(const TensorView& view) {
  return {elements<T>(view), view.stride(0), view.stride(1), view.stride(2)};
}

template <int E, class T>
void launch(cudaStream_t stream, const CachedCall<T>& call, std::int64_t rows, bool wide) {
  const dim3 grid(blocks_for(rows, 1), static_cast<unsigned>(call.heads), static_cast<unsigned>(call.parts));
  if (wide)
    launch_kernel({stream, grid, kThreads}, "attention_cached", attention_cached_kernel<E, true, T>, call);
  else
    launch_kernel({stream, grid, kThreads}, "attention_cached", attention_cached_kernel<E, false, T>, call);
  if (call.parts == 1) return;
  launch_kernel({stream, dim3(grid.x, grid.y), kWarp}, "join_parts", join_parts_kernel<E, T>, call);
}

/// Elements of a lane: a power of two, so that lanes hold all of the head.
template <class T>
void launch_for(cudaStream_t stream, const CachedCall<T>& call, std::int64_t rows, const TensorView& q,
                const TensorView& k, const TensorView& v) {
  const auto wide_for = [&](std::int64_t e) {
    const std::int64_t bytes = pack_bytes(q, e);
    const auto good = [&](const TensorView& view) {
      const std::int64_t size = bytes_of(view.dtype);
      return reinterpret_cast<std::uintptr_t>(view.data) % static_cast<std::uintptr_t>(bytes) == 0 &&
             view.stride(0) * size % bytes == 0 && view.stride(1) * size % bytes == 0 &&
             (view.rank < 4 || view.stride(2) * size % bytes == 0);
    };
    return call.head_dim % e == 0 && good(q) && good(k) && good(v);
  };
  if (call.head_dim <= 32)
    launch<1>(stream, call, rows, wide_for(1));
  else if (call.head_dim <= 64)
    launch<2>(stream, call, rows, wide_for(2));
  else if (call.head_dim <= 128)
    launch<4>(stream, call, rows, wide_for(4));
  else
    launch<8>(stream, call, rows, wide_for(8));
}

void check_cached(const AttentionSpec& spec, const TensorView& q, const TensorView& cache, const TensorView& slot,
                  const TensorView& position) {
  FERULA_CHECK(cache.rank == 4 && cache.dtype == q.dtype && cache.dim(2) == spec.kv_heads &&
                   cache.dim(3) == spec.head_dim && cache.stride(3) == 1,
               "a cache of {} with {} heads of width {}", name_of(cache.dtype), cache.dim(2), cache.dim(3));
  FERULA_CHECK(spec.head_dim <= 256 && spec.heads <= 65535, "{} heads of {} elements", spec.heads, spec.head_dim);
  FERULA_CHECK(slot.count() == q.dim(0) && position.count() == q.dim(0), "{} slots and {} positions for {} rows",
               slot.count(), position.count(), q.dim(0));
}

}  // namespace

std::int64_t attention_cached_scratch(int multiprocessors, const AttentionSpec& spec) {
  return scratch_bytes(wanted_blocks(multiprocessors) * (spec.head_dim + 2), sizeof(float));
}

void attention_cached(Workspace& workspace, int multiprocessors, cudaStream_t stream, const AttentionSpec& spec,
                      TensorView q, TensorView k_cache, TensorView v_cache, TensorView slot, TensorView position,
                      TensorView out) {
  check_compute_type(q, out);
  const std::int64_t rows = q.dim(0);
  if (rows == 0) return;
  check_cached(spec, q, k_cache, slot, position);
  check_cached(spec, q, v_cache, slot, position);
  const std::int64_t parts = parts_of(multiprocessors, rows * spec.heads, k_cache.dim(1));
  Workspace::Lease scratch = workspace.lease(stream, attention_cached_scratch(multiprocessors, spec));
  with_type(q.dtype, [&](auto type) {
    using T = decltype(type);
    const std::int64_t partial = rows * spec.heads * parts * (spec.head_dim + 2);
    const CachedCall<T> call{.q = elements<const T>(q),
                             .q_row = q.stride(0),
                             .q_head = q.stride(1),
                             .out = elements<T>(out),
                             .out_row = out.stride(0),
                             .out_head = out.stride(1),
                             .k = cache_of<const T>(k_cache),
                             .v = cache_of<const T>(v_cache),
                             .slot = elements<const std::int32_t>(slot),
                             .position = elements<const std::int32_t>(position),
                             .slots = k_cache.dim(0),
                             .length = k_cache.dim(1),
                             .part_keys = ceil_div(k_cache.dim(1), parts),
                             .heads = spec.heads,
                             .group = spec.heads / spec.kv_heads,
                             .head_dim = spec.head_dim,
                             .parts = static_cast<int>(parts),
                             .scale = spec.scale,
                             .partial = parts == 1 ? nullptr : scratch.take<float>(partial)};
    launch_for<T>(stream, call, rows, q, k_cache, v_cache);
  });
}

}  // namespace ferula::cuda
