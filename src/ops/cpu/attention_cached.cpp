// Attention over a key-value cache, for generation: each row streams the keys and values of its slot once.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention_cached.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include <omp.h>

#include <cstring>
#include <limits>
#include <numbers>

#include "ops/cpu/attention.hpp"
#include "ops/cpu/attention_kernels-inl.hpp"
#include "ops/cpu/attention_plan.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

/// scores[key] = query · k[key] for the rows of k; the query is padded with zeros.
template <class T>
HWY_INLINE void score_keys(const float* query, const TensorView& k, float* scores) {
  for (std::int64_t key = 0; key < k.dim(0); ++key) {
    const T* row = row_of<T>(k, key);
    Floats sum = hn::Zero(kFloat);
    sweep(k.dim(1), [&](std::int64_t at, std::int64_t lanes)
                        HWY_ATTR { sum = hn::MulAdd(hn::LoadU(kFloat, query + at), load(row + at, lanes), sum); });
    scores[key] = sum_of_lanes(sum);
  }
}

/// sums = factor · sums + Σ weights[key] · v[key].
template <class T>
HWY_INLINE void add_values(const float* weights, const TensorView& v, float factor, float* sums) {
  sweep(v.dim(1), [&](std::int64_t at, std::int64_t lanes) HWY_ATTR {
    Floats even = hn::Mul(hn::LoadU(kFloat, sums + at), hn::Set(kFloat, factor));
    Floats odd = hn::Zero(kFloat);
    std::int64_t key = 0;
    for (; key + 2 <= v.dim(0); key += 2) {
      even = hn::MulAdd(hn::Set(kFloat, weights[key]), load(row_of<T>(v, key) + at, lanes), even);
      odd = hn::MulAdd(hn::Set(kFloat, weights[key + 1]), load(row_of<T>(v, key + 1) + at, lanes), odd);
    }
    if (key < v.dim(0)) even = hn::MulAdd(hn::Set(kFloat, weights[key]), load(row_of<T>(v, key) + at, lanes), even);
    hn::StoreU(hn::Add(even, odd), kFloat, sums + at);
  });
}

/// Turns the scores of [0, kKeyBlock) keys into weights; `maximum` and `total` are brought up to date.
/// Returns by what the sums so far must be multiplied.
HWY_INLINE float weigh_scores(float* scores, float& maximum, float& total) {
  Floats best = hn::Set(kFloat, maximum);
  for (std::int64_t key = 0; key < kKeyBlock; key += kLanes) best = hn::Max(best, hn::LoadU(kFloat, scores + key));
  const float largest = hn::GetLane(hn::MaxOfLanes(kFloat, best));
  Floats sum = hn::Zero(kFloat);
  for (std::int64_t key = 0; key < kKeyBlock; key += kLanes) {
    const Floats weight = exp2(hn::Sub(hn::LoadU(kFloat, scores + key), hn::Set(kFloat, largest)));
    hn::StoreU(weight, kFloat, scores + key);
    sum = hn::Add(sum, weight);
  }
  const float factor = hn::GetLane(exp2(hn::Set(kFloat, maximum - largest)));
  total = total * factor + sum_of_lanes(sum);
  maximum = largest;
  return factor;
}

template <class T>
HWY_INLINE void cached_head_of(const CachedHead& head, Panel query, Panel sums, float* scores) {
  for (std::int64_t member = 0; member < head.q.dim(0); ++member) {
    float maximum = -std::numeric_limits<float>::infinity();
    float total = 0.0f;
    for (std::int64_t begin = 0; begin < head.k.dim(0); begin += kKeyBlock) {
      const std::int64_t count = std::min(kKeyBlock, head.k.dim(0) - begin);
      std::fill(scores + count, scores + kKeyBlock, -std::numeric_limits<float>::infinity());
      score_keys<T>(query.row(member), head.k.rows(begin, count), scores);
      const float factor = weigh_scores(scores, maximum, total);
      add_values<T>(scores, head.v.rows(begin, count), factor, sums.row(member));
    }
    store_rows(sums.at(member, 0), head.out.rows(member, 1), 1.0f / total);
  }
}

/// The query heads of one row that share one key head.
void cached_head(const CachedHead& head, std::span<float> scratch) {
  const std::int64_t width = padded_width(head.q.dim(1));
  PanelStack stack(scratch);
  const Panel query = stack.take(head.q.dim(0), width);
  const Panel sums = stack.take(head.q.dim(0), width);
  load_rows(head.q, query, head.q.dim(0), head.scale * std::numbers::log2e_v<float>);
  std::fill_n(sums.data, head.q.dim(0) * width, 0.0f);
  float* scores = stack.take(1, kKeyBlock).data;
  head.k.dtype == DType::bf16 ? cached_head_of<bf16>(head, query, sums, scores)
                              : cached_head_of<float>(head, query, sums, scores);
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(cached_head);

/// Rows [0, count) of one head of one slot of a cache [slots, length, kv_heads, head_dim].
TensorView slot_rows(const TensorView& cache, std::int64_t slot, std::int64_t kv_head, std::int64_t count) {
  TensorView rows(nullptr, cache.dtype, {count, cache.dim(3)});
  rows.data = cache.data + (slot * cache.stride(0) + kv_head * cache.stride(2)) * bytes_of(cache.dtype);
  rows.strides[0] = cache.stride(1);
  return rows;
}

/// Heads [first, first + count) of one row, as [count, head_dim].
TensorView heads_of_row(const TensorView& view, std::int64_t row, std::int64_t first, std::int64_t count) {
  TensorView heads(nullptr, view.dtype, {count, view.dim(2)});
  heads.data = view.data + (row * view.stride(0) + first * view.stride(1)) * bytes_of(view.dtype);
  heads.strides[0] = view.stride(1);
  return heads;
}

/// Checked before any thread starts: an exception must not leave a parallel region.
void check_cache(const TensorView& rows, const TensorView& cache, std::int64_t kv_heads,
                 std::span<const std::int32_t> slots, std::span<const std::int32_t> positions) {
  FERULA_CHECK(rows.rank == 3 && cache.rank == 4 && rows.dtype == cache.dtype && cache.dim(2) == kv_heads &&
                   rows.dim(2) == cache.dim(3),
               "{} rows of width {} and a cache of {} with {} heads of width {}", name_of(rows.dtype), rows.dim(2),
               name_of(cache.dtype), cache.dim(2), cache.dim(3));
  FERULA_CHECK(std::cmp_equal(slots.size(), rows.dim(0)) && positions.size() == slots.size(),
               "{} slots and {} positions for {} rows", slots.size(), positions.size(), rows.dim(0));
  for (std::size_t row = 0; row < slots.size(); ++row)
    FERULA_CHECK(slots[row] >= 0 && slots[row] < cache.dim(0) && positions[row] >= 0 && positions[row] < cache.dim(1),
                 "position {} of slot {} in a cache of {} slots of length {}", positions[row], slots[row], cache.dim(0),
                 cache.dim(1));
}

void copy_row(const TensorView& from, std::int64_t row, const TensorView& cache, std::int64_t slot,
              std::int64_t position) {
  for (std::int64_t head = 0; head < from.dim(1); ++head) {
    const TensorView target = slot_rows(cache, slot, head, position + 1).rows(position, 1);
    const TensorView source = heads_of_row(from, row, head, 1);
    std::memcpy(target.data, source.data, static_cast<std::size_t>(source.bytes()));
  }
}

}  // namespace

void cache_append(TensorView k, TensorView v, TensorView slot, TensorView position, TensorView k_cache,
                  TensorView v_cache) {
  const std::span<const std::int32_t> slots = slot.span<std::int32_t>();
  const std::span<const std::int32_t> positions = position.span<std::int32_t>();
  check_cache(k, k_cache, k.dim(1), slots, positions);
  check_cache(v, v_cache, v.dim(1), slots, positions);
  for (std::int64_t row = 0; row < k.dim(0); ++row) {
    const auto at = static_cast<std::size_t>(row);
    copy_row(k, row, k_cache, slots[at], positions[at]);
    copy_row(v, row, v_cache, slots[at], positions[at]);
  }
}

void attention_cached(Workspace& workspace, const AttentionSpec& spec, TensorView q, TensorView k_cache,
                      TensorView v_cache, TensorView slot, TensorView position, TensorView out) {
  const std::span<const std::int32_t> slots = slot.span<std::int32_t>();
  const std::span<const std::int32_t> positions = position.span<std::int32_t>();
  check_cache(q, k_cache, spec.kv_heads, slots, positions);
  check_cache(q, v_cache, spec.kv_heads, slots, positions);
  const std::int64_t group = spec.heads / spec.kv_heads;
  const std::int64_t items = q.dim(0) * spec.kv_heads;
  const auto run = HWY_DYNAMIC_DISPATCH(cached_head);
  ThreadScratch scratch(workspace, 2 * group * padded_width(spec.head_dim) + kKeyBlock, items);
#pragma omp parallel for schedule(dynamic) num_threads(scratch.threads())
  for (std::int64_t item = 0; item < items; ++item) {
    const std::int64_t row = item / spec.kv_heads;
    const std::int64_t kv_head = item % spec.kv_heads;
    const std::int64_t cache_slot = slots[static_cast<std::size_t>(row)];
    const std::int64_t keys = positions[static_cast<std::size_t>(row)] + 1;
    run({heads_of_row(q, row, kv_head * group, group), heads_of_row(out, row, kv_head * group, group),
         slot_rows(k_cache, cache_slot, kv_head, keys), slot_rows(v_cache, cache_slot, kv_head, keys), spec.scale},
        scratch.of_thread(omp_get_thread_num()));
  }
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
