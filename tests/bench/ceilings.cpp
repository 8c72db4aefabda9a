#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ceilings.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <functional>

#include "base/error.hpp"
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
  for (std::int64_t chain = 0; chain < kChains; ++chain)  // equal ones the compiler would compute once
    sums[chain] = hn::Set(kFloat, *sink + static_cast<float>(chain));
  for (std::int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
    for (auto& sum : sums) sum = hn::MulAdd(sum, factor, term);
  auto all = sums[0];
#pragma GCC unroll 12
  for (const auto& sum : sums) all = hn::Add(all, sum);
  *sink = hn::GetLane(all);
  return 2.0 * static_cast<double>(kChains * rounds) * static_cast<double>(hn::Lanes(kFloat));
}

double flops_per_cycle() { return 2 * 2.0 * static_cast<double>(hn::Lanes(kFloat)); }

/// For `count` elements of each of `streams` streams that begin `gap` elements apart: x = 2 − x. With `reading`,
/// another stream behind them is read only: x = that − x.
void reflect_streams(float* first, std::int64_t streams, bool reading, std::int64_t gap, std::int64_t count) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kFloat));
  const float* const behind = first + streams * gap;
  auto mirror = hn::Set(kFloat, 2.0f);
  for (std::int64_t at = 0; at + lanes <= count; at += lanes) {
    if (reading) mirror = hn::LoadU(kFloat, behind + at);
    for (float* stream = first; stream < behind; stream += gap)
      hn::StoreU(hn::Sub(mirror, hn::LoadU(kFloat, stream + at)), kFloat, stream + at);
  }
}

/// The sum of `streams` streams of `count` elements that begin `gap` elements apart.
float sum_of_streams(const float* first, std::int64_t streams, std::int64_t gap, std::int64_t count) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kFloat));
  const float* const behind = first + streams * gap;
  auto even = hn::Zero(kFloat), odd = hn::Zero(kFloat);
  for (std::int64_t at = 0; at + 2 * lanes <= count; at += 2 * lanes) {
    for (const float* stream = first; stream < behind; stream += gap) {
      even = hn::Add(even, hn::LoadU(kFloat, stream + at));
      odd = hn::Add(odd, hn::LoadU(kFloat, stream + at + lanes));
    }
  }
  return hn::GetLane(hn::SumOfLanes(kFloat, hn::Add(even, odd)));
}

}  // namespace ferula::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::bench {
namespace {

HWY_EXPORT(multiply_and_add);
HWY_EXPORT(reflect_streams);
HWY_EXPORT(sum_of_streams);
HWY_EXPORT(flops_per_cycle);

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

namespace {

constexpr std::int64_t kClockRounds = 4'000'000;
constexpr double kCyclesARound = 6;

/// Six instructions, each of which waits for the one before it (Marsaglia 2003, "Xorshift").
std::uint64_t shift_and_combine(std::uint64_t value) {
  for (std::int64_t round = 0; round < kClockRounds; ++round) {
    value ^= value << 13;
    value ^= value >> 7;
    value ^= value << 17;
  }
  return value;
}

}  // namespace

double probe_clock() {
  std::uint64_t sink = 0;
  const Cost cost = cost_of([&] {
#pragma omp parallel reduction(^ : sink)
    sink ^= shift_and_combine(88172645463325252ULL + static_cast<std::uint64_t>(omp_get_thread_num()));
  });
  FERULA_CHECK(sink != 1, "the chain was not computed: {}", sink);
  return kCyclesARound * static_cast<double>(kClockRounds) / cost.seconds;
}

double theoretical_flops_per_cycle() { return HWY_DYNAMIC_DISPATCH(flops_per_cycle)(); }

namespace {

/// Streams that begin a multiple of a page apart wait for each other: a processor takes a load for the store of another
/// stream when the last twelve bits of their addresses agree. So they lie another 17 cache lines apart.
constexpr std::int64_t kStagger = 17 * 64 / sizeof(float);

/// Of a few calls, since others use the machine, too; the first touches the memory.
double fastest_of(const StreamingCeiling::Timed& timed, const std::function<void()>& call) {
  constexpr int kTrials = 5;
  timed(call);
  double seconds = timed(call).seconds;
  for (int trial = 1; trial < kTrials; ++trial) seconds = std::min(seconds, timed(call).seconds);
  return seconds;
}

}  // namespace

StreamingCeiling::StreamingCeiling(Device& device, std::int64_t bytes, const Timed& timed)
    : memory_(device.allocate(bytes, MemoryKind::buffers)) {
  double fastest = 0;
  Shape best;
  for (const Shape shape : {Shape{1, false}, Shape{2, false}, Shape{4, false}, Shape{8, false}, Shape{3, true}}) {
    shape_ = shape;
    const double rate = sweep_bytes() / fastest_of(timed, [this] { sweep(); });
    if (rate > fastest) best = shape;
    fastest = std::max(fastest, rate);
  }
  shape_ = best;
  fastest = 0;
  std::int64_t best_streams = 1;
  for (const std::int64_t streams : {1, 2, 4, 8}) {
    read_streams_ = streams;
    const double rate = read_bytes() / fastest_of(timed, [this] { read(); });
    if (rate > fastest) best_streams = streams;
    fastest = std::max(fastest, rate);
  }
  read_streams_ = best_streams;
}

std::int64_t StreamingCeiling::stream_elements(std::int64_t threads, std::int64_t streams) const {
  return memory_.bytes() / static_cast<std::int64_t>(sizeof(float)) / threads / streams - kStagger;
}

template <class Work>
Cost StreamingCeiling::on_all_threads(std::int64_t streams, const Work& work) {
  const std::span<float> values = memory_.flat(DType::f32).span<float>();
  return cost_of([&] {
#pragma omp parallel
    {
      const auto threads = static_cast<std::int64_t>(omp_get_num_threads());
      const std::int64_t begin = omp_get_thread_num() * (static_cast<std::int64_t>(values.size()) / threads);
      work(values.data() + begin, stream_elements(threads, streams));
    }
  });
}

Cost StreamingCeiling::sweep() {
  return on_all_threads(shape_.streams(), [this](float* first, std::int64_t count) {
    HWY_DYNAMIC_DISPATCH(reflect_streams)(first, shape_.written, shape_.reading, count + kStagger, count);
  });
}

double StreamingCeiling::sweep_bytes() const {
  const std::int64_t threads = omp_get_max_threads();
  const std::int64_t passes = shape_.written + shape_.streams();
  return static_cast<double>(threads * stream_elements(threads, shape_.streams()) * passes) * sizeof(float);
}

Cost StreamingCeiling::read() {
  return on_all_threads(read_streams_, [this](float* first, std::int64_t count) {
    sum_ = HWY_DYNAMIC_DISPATCH(sum_of_streams)(first, read_streams_, count + kStagger, count);
  });
}

double StreamingCeiling::read_bytes() const {
  const std::int64_t threads = omp_get_max_threads();
  return static_cast<double>(threads * stream_elements(threads, read_streams_) * read_streams_) * sizeof(float);
}

}  // namespace ferula::bench
#endif  // HWY_ONCE
