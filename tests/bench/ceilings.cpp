#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ceilings.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include <omp.h>
#include <sched.h>

#include "ceilings.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ferula::bench::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
constexpr hn::ScalableTag<float> kFloat;

constexpr std::int64_t kChains = 12;  // more than latency times units, fewer than the registers of AVX2

/// Operations of `rounds` rounds of independent multiply-adds; `sink` keeps them from being removed.
double multiply_and_add(std::int64_t rounds, float* sink) {
  const auto factor = hn::Set(kFloat, 0.999999f), term = hn::Set(kFloat, 1e-6f);
  hn::Vec<hn::ScalableTag<float>> sums[kChains];
#pragma GCC unroll 12
  for (auto& sum : sums) sum = hn::Set(kFloat, *sink);
  for (std::int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
    for (auto& sum : sums) sum = hn::MulAdd(sum, factor, term);
  auto all = sums[0];
#pragma GCC unroll 12
  for (const auto& sum : sums) all = hn::Add(all, sum);
  *sink = hn::GetLane(all);
  return 2.0 * static_cast<double>(kChains * rounds) * static_cast<double>(hn::Lanes(kFloat));
}

/// x = 2 − x for `count` elements of each of four streams that lie `gap` elements apart.
void reflect_streams(float* first, std::int64_t gap, std::int64_t count) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kFloat));
  const auto two = hn::Set(kFloat, 2.0f);
  for (std::int64_t at = 0; at + lanes <= count; at += lanes)
    for (float* stream = first; stream < first + 4 * gap; stream += gap)
      hn::StoreU(hn::Sub(two, hn::LoadU(kFloat, stream + at)), kFloat, stream + at);
}

}  // namespace ferula::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::bench {
namespace {

HWY_EXPORT(multiply_and_add);
HWY_EXPORT(reflect_streams);

}  // namespace

void pin_threads() {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
#pragma omp parallel
  {
    int skipped = omp_get_thread_num() % CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (!CPU_ISSET(cpu, &allowed) || skipped-- > 0) continue;
      cpu_set_t mine;
      CPU_ZERO(&mine);
      CPU_SET(cpu, &mine);
      sched_setaffinity(0, sizeof mine, &mine);
      break;
    }
  }
}

Arithmetic probe_arithmetic(std::int64_t rounds) {
  Arithmetic result;
  double flops = 0;
  result.cost = cost_of([&] {
#pragma omp parallel reduction(+ : flops)
    {
      float sink = 1.0f;
      flops += HWY_DYNAMIC_DISPATCH(multiply_and_add)(rounds, &sink);
    }
  });
  result.flops = flops;
  return result;
}

StreamingCeiling::StreamingCeiling(Device& device, std::int64_t bytes)
    : memory_(device.allocate(bytes, MemoryKind::buffers)) {}

Cost StreamingCeiling::sweep() {
  const std::span<float> values = memory_.flat(DType::f32).span<float>();
  return cost_of([&] {
#pragma omp parallel
    {
      const auto threads = static_cast<std::int64_t>(omp_get_num_threads());
      const auto part = static_cast<std::int64_t>(values.size()) / threads;
      const std::int64_t gap = part / kStreams;
      HWY_DYNAMIC_DISPATCH(reflect_streams)(values.data() + omp_get_thread_num() * part, gap, gap);
    }
  });
}

}  // namespace ferula::bench
#endif  // HWY_ONCE
