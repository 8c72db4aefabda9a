// What kernels see of a strided matrix, and loads and stores of several elements at once.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "ops/cuda/instructions.cuh"

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

/// V elements as they lie in memory, at most 16 bytes: several of these can be asked for before the first is looked at.
/// By words, since the compiler gives each two-byte element of a Pack that waits a register of its own.
template <class T, int V>
struct Raw {
  static constexpr int kBytes = V * static_cast<int>(sizeof(T));
  static constexpr int kWords = (kBytes + 3) / 4;
  unsigned words[kWords] = {};

  __device__ __forceinline__ float at(int index) const {
    if constexpr (sizeof(T) == 4) return __uint_as_float(words[index]);
    return __uint_as_float(index % 2 == 0 ? words[index / 2] << 16 : words[index / 2] & 0xffff0000u);
  }
};

template <int V, class T>
__device__ __forceinline__ Raw<T, V> load_raw(const T* from) {
  Raw<T, V> raw;
  if constexpr (raw.kBytes == 2) raw.words[0] = *reinterpret_cast<const unsigned short*>(from);
  if constexpr (raw.kBytes == 4) raw.words[0] = *reinterpret_cast<const unsigned*>(from);
  if constexpr (raw.kBytes == 8) {
    const uint2 two = *reinterpret_cast<const uint2*>(from);
    raw.words[0] = two.x, raw.words[1] = two.y;
  }
  if constexpr (raw.kBytes == 16) {
    const uint4 four = *reinterpret_cast<const uint4*>(from);
    raw.words[0] = four.x, raw.words[1] = four.y, raw.words[2] = four.z, raw.words[3] = four.w;
  }
  return raw;
}

template <class T, int V>
__device__ __forceinline__ void to_floats(const Raw<T, V>& raw, float (&to)[V]) {
#pragma unroll
  for (int i = 0; i < V; ++i) to[i] = raw.at(i);
}

/// Values that follow are computed from the registers that hold the elements, and not taken from earlier computations.
template <class T, int V>
__device__ __forceinline__ void forget_origin(Raw<T, V>& raw) {
#pragma unroll
  for (unsigned& word : raw.words) asm("" : "+r"(word));
}

template <int V, class T>
__device__ __forceinline__ void load(const T* from, float (&to)[V]) {
  const Pack<T, V> pack = *reinterpret_cast<const Pack<T, V>*>(from);
#pragma unroll
  for (int i = 0; i < V; ++i) to[i] = to_float(pack.values[i]);
}

/// V elements as memory holds them.
template <class T, int V>
__device__ __forceinline__ Raw<T, V> to_raw(const float (&from)[V]) {
  Raw<T, V> raw;
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int i = 0; i < V; ++i) raw.words[i] = __float_as_uint(from[i]);
  } else if constexpr (V == 1) {
    const bfloat one = from_float<bfloat>(from[0]);
    raw.words[0] = *reinterpret_cast<const unsigned short*>(&one);
  } else {
#pragma unroll
    for (int i = 0; i < V / 2; ++i) {
      const __nv_bfloat162 both = __floats2bfloat162_rn(from[2 * i], from[2 * i + 1]);
      raw.words[i] = *reinterpret_cast<const unsigned*>(&both);
    }
  }
  return raw;
}

/// Of global memory.
template <class T, int V>
__device__ __forceinline__ void store_raw(const Raw<T, V>& raw, T* to) {
  if constexpr (raw.kBytes == 2) *reinterpret_cast<unsigned short*>(to) = static_cast<unsigned short>(raw.words[0]);
  if constexpr (raw.kBytes == 4) *reinterpret_cast<unsigned*>(to) = raw.words[0];
  if constexpr (raw.kBytes == 8) store_whole(reinterpret_cast<uint2*>(to), make_uint2(raw.words[0], raw.words[1]));
  if constexpr (raw.kBytes == 16)
    store_whole(reinterpret_cast<uint4*>(to), make_uint4(raw.words[0], raw.words[1], raw.words[2], raw.words[3]));
}

/// V elements of global memory.
template <int V, class T>
__device__ __forceinline__ void store(const float (&from)[V], T* to) {
  static_assert(V == 1 || V == 2 || V == 4 || V == 8);
  constexpr int kPart = V < 16 / static_cast<int>(sizeof(T)) ? V : 16 / static_cast<int>(sizeof(T));
#pragma unroll
  for (int begin = 0; begin < V; begin += kPart) {
    float part[kPart];
#pragma unroll
    for (int i = 0; i < kPart; ++i) part[i] = from[begin + i];
    store_raw(to_raw<T>(part), to + begin);
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
