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

/// A number that the thread which asks sees as its own.
template <unsigned (*kOfPlace)(const Place&)>
struct Coordinate {
  operator unsigned() const { return kOfPlace(here()); }  // NOLINT: it stands in for a number
};

template <auto kTriple>
struct Coordinates {
  Coordinate<[](const Place& place) { return (place.*kTriple).x; }> x;
  Coordinate<[](const Place& place) { return (place.*kTriple).y; }> y;
  Coordinate<[](const Place& place) { return (place.*kTriple).z; }> z;
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
T value_of_other(const Shuffled<T> (&given)[kLanes], int lane) {
  return given[given[lane].from].value;
}

inline unsigned votes(const int (&given)[kLanes], int) {
  unsigned result = 0;
  for (int lane = 0; lane < kLanes; ++lane) result |= given[lane] != 0 ? 1u << lane : 0u;
  return result;
}

template <class T>
T shuffle(unsigned mask, T value, int from) {
  return together<T, Shuffled<T>, value_of_other<T>>(mask, {value, from});
}

inline int lane() {
  const Place& place = here();
  return static_cast<int>((place.thread.x + place.block_size.x * (place.thread.y + place.block_size.y * place.thread.z)) %
                          kLanes);
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
  return ::ferula::emulated::together<unsigned, int, ::ferula::emulated::votes>(mask, vote);
}

inline int __popc(unsigned bits) { return std::popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(a) * b) >> 32);
}
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline float __expf(float x) { return std::exp(x); }
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
