// Sums of products of bf16 pairs from registers, which Highway 1.0.3 has no word for.
#include <omp.h>

#include "base/error.hpp"
#include "ceilings.hpp"
#include "ops/capabilities.hpp"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ferula::bench {
namespace {

#if defined(__x86_64__)

bool has_tiles() { return __builtin_cpu_supports("amx-bf16") != 0; }

/// Operations of `rounds` rounds of independent sums of products; `sink` keeps them from being removed.
[[gnu::target("avx512f,avx512bf16")]] double multiply_pairs(std::int64_t rounds, float* sink) {
  constexpr int kChains = 16;  // more than latency times units
  constexpr double kOperations = 2.0 * 32;
  const __m512 small = _mm512_set1_ps(*sink * 1e-6f);
  const __m512bh pairs = _mm512_cvtne2ps_pbh(small, small);
  __m512 sums[kChains];
#pragma GCC unroll 16
  for (int chain = 0; chain < kChains; ++chain) sums[chain] = _mm512_set1_ps(*sink + static_cast<float>(chain));
  for (std::int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 16
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, pairs, pairs);
  __m512 total = sums[0];
#pragma GCC unroll 16
  for (const __m512& sum : sums) total = _mm512_add_ps(total, sum);
  *sink = _mm512_cvtss_f32(total);
  return kOperations * kChains * static_cast<double>(rounds);
}

#else

bool has_tiles() { return false; }
double multiply_pairs(std::int64_t, float*) { throw Error("bf16 arithmetic is probed on x86-64 only"); }

#endif

/// What tiles can do at the clock of this moment: a product of 16 x 32 by 32 x 16 elements each 16 cycles and core.
Arithmetic tile_arithmetic() {
  constexpr double kOperationsACycle = 2.0 * 16 * 32 * 16 / 16;
  const double flops_a_second = kOperationsACycle * probe_clock() * omp_get_max_threads();
  return {.flops = flops_a_second, .cost = {.seconds = 1.0, .processor_seconds = 1.0 * omp_get_max_threads()}};
}

}  // namespace

Arithmetic probe_bf16_arithmetic(std::int64_t rounds) {
  if (!cpu_computes_bf16()) return probe_arithmetic(rounds);
  if (has_tiles()) return tile_arithmetic();
  Arithmetic result;
  double flops = 0;
  result.cost = cost_of([&] {
#pragma omp parallel reduction(+ : flops)
    {
      float sink = 1.0f;
      flops += multiply_pairs(rounds, &sink);
    }
  });
  result.flops = flops;
  return result;
}

}  // namespace ferula::bench
