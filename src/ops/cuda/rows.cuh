// What kernels see of a strided matrix, and loads and stores of several elements at once.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace ferula::cuda {

using bfloat = __nv_bfloat16;

/// Row `r` begins at data + r · stride; columns lie together.
template <class T>
struct Rows {
  T* data = nullptr;
  std::int64_t stride = 0;  // elements

  __device__ __forceinline__ T* row(std::int64_t index) const { return data + index * stride; }
};

__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(bfloat value) { return __bfloat162float(value); }

template <class T>
__device__ __forceinline__ T from_float(float value);
template <>
__device__ __forceinline__ float from_float<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ bfloat from_float<bfloat>(float value) {
  return __float2bfloat16_rn(value);
}

/// The value that memory of type T would hold.
template <class T>
__device__ __forceinline__ float rounded(float value) {
  return to_float(from_float<T>(value));
}

constexpr int pack_alignment(int bytes) { return bytes < 16 ? bytes : 16; }

/// V elements that are moved by as few instructions as 16-byte accesses allow; V · sizeof(T) is a power of two.
template <class T, int V>
struct alignas(pack_alignment(V* static_cast<int>(sizeof(T)))) Pack {
  T values[V];
};

template <int V, class T>
__device__ __forceinline__ void load(const T* from, float (&to)[V]) {
  const Pack<T, V> pack = *reinterpret_cast<const Pack<T, V>*>(from);
#pragma unroll
  for (int i = 0; i < V; ++i) to[i] = to_float(pack.values[i]);
}

template <int V>
__device__ __forceinline__ void store(const float (&from)[V], float* to) {
  Pack<float, V> pack;
#pragma unroll
  for (int i = 0; i < V; ++i) pack.values[i] = from[i];
  *reinterpret_cast<Pack<float, V>*>(to) = pack;
}

/// By whole words: two-byte stores of elements would be merged with those of a guarded tail, and stay two bytes each.
template <int V>
__device__ __forceinline__ void store(const float (&from)[V], bfloat* to) {
  static_assert(V == 1 || V == 2 || V == 4 || V == 8);
  if constexpr (V == 1) {
    *to = from_float<bfloat>(from[0]);
  } else {
    unsigned words[V / 2];
#pragma unroll
    for (int i = 0; i < V / 2; ++i) {
      const __nv_bfloat162 both = __floats2bfloat162_rn(from[2 * i], from[2 * i + 1]);
      words[i] = *reinterpret_cast<const unsigned*>(&both);
    }
    if constexpr (V == 2) *reinterpret_cast<unsigned*>(to) = words[0];
    if constexpr (V == 4) *reinterpret_cast<uint2*>(to) = make_uint2(words[0], words[1]);
    if constexpr (V == 8) *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

/// The first `count` of V elements; the others become `missing`.
template <int V, class T>
__device__ __forceinline__ void load_some(const T* from, std::int64_t count, float missing, float (&to)[V]) {
  if (count >= V) return load<V>(from, to);
#pragma unroll
  for (int i = 0; i < V; ++i) to[i] = i < count ? to_float(from[i]) : missing;
}

template <int V, class T>
__device__ __forceinline__ void store_some(const float (&from)[V], std::int64_t count, T* to) {
  if (count >= V) return store<V>(from, to);
#pragma unroll
  for (int i = 0; i < V; ++i)
    if (i < count) to[i] = from_float<T>(from[i]);
}

}  // namespace ferula::cuda
