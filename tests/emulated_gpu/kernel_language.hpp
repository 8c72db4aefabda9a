// Stands before every kernel that is compiled for the processor: the words of CUDA C++ as C++.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>
#include <vector_functions.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "grid.hpp"

#undef __device__
#undef __forceinline__
#undef __global__
#undef __grid_constant__
#undef __host__
#undef __launch_bounds__
#undef __shared__
#define __device__
#define __forceinline__ inline
#define __global__
#define __grid_constant__
#define __host__
#define __launch_bounds__(...)
#define __shared__ static thread_local  // the blocks that a thread of the host runs follow each other

namespace ferula::emulated {

/// Side `kSide` of a triple, as the thread that asks sees it.
template <auto kTriple, int kSide>
struct Coordinate {
  operator unsigned() const {  // NOLINT: it stands in for a number
    const auto& triple = here().*kTriple;
    return kSide == 0 ? triple.x : kSide == 1 ? triple.y : triple.z;
  }
};

template <auto kTriple>
struct Coordinates {
  Coordinate<kTriple, 0> x;
  Coordinate<kTriple, 1> y;
  Coordinate<kTriple, 2> z;
};

}  // namespace ferula::emulated

inline constexpr ferula::emulated::Coordinates<&ferula::emulated::Place::thread> threadIdx;
inline constexpr ferula::emulated::Coordinates<&ferula::emulated::Place::block> blockIdx;
inline constexpr ferula::emulated::Coordinates<&ferula::emulated::Place::block_size> blockDim;
inline constexpr ferula::emulated::Coordinates<&ferula::emulated::Place::grid_size> gridDim;

template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}

inline void __syncthreads() { ::ferula::emulated::await_block(); }
[[noreturn]] inline void __trap() { ::ferula::emulated::trap("a trap"); }

namespace ferula::emulated {

template <class T>
struct Shuffled {
  T value;
  int from;  // the lane whose value is taken
};

template <class T>
void exchange(const Shuffled<T> (&given)[kLanes], T (&taken)[kLanes]) {
  for (int lane = 0; lane < kLanes; ++lane) taken[lane] = given[given[lane].from].value;
}

inline void vote(const int (&given)[kLanes], unsigned (&taken)[kLanes]) {
  unsigned votes = 0;
  for (int lane = 0; lane < kLanes; ++lane) votes |= given[lane] != 0 ? 1u << lane : 0u;
  for (unsigned& each : taken) each = votes;
}

template <class T>
T shuffle(unsigned mask, T value, int from) {
  return together<T, Shuffled<T>, exchange<T>>(mask, {value, from});
}

inline int lane() {
  const Place& place = here();
  return static_cast<int>(
      (place.thread.x + place.block_size.x * (place.thread.y + place.block_size.y * place.thread.z)) % kLanes);
}

}  // namespace ferula::emulated

template <class T>
T __shfl_sync(unsigned mask, T value, int from) {
  return ::ferula::emulated::shuffle(mask, value, from % ::ferula::emulated::kLanes);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return ::ferula::emulated::shuffle(mask, value, ::ferula::emulated::lane() ^ bits);
}
inline unsigned __ballot_sync(unsigned mask, int vote) {
  return ::ferula::emulated::together<unsigned, int, ::ferula::emulated::vote>(mask, vote);
}

inline int __popc(unsigned bits) { return std::popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(a) * b) >> 32);
}
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline float __expf(float x) { return std::exp(x); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline double __dmul_rn(double a, double b) { return a * b; }

template <class T>
T min(T a, std::type_identity_t<T> b) {
  return b < a ? b : a;
}
template <class T>
T max(T a, std::type_identity_t<T> b) {
  return a < b ? b : a;
}
