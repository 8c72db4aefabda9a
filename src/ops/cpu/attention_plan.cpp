#include "ops/cpu/attention_plan.hpp"

#include <omp.h>

#include <algorithm>

#include "ops/cpu/matmul.hpp"

namespace ferula::cpu {
namespace {

constexpr std::int64_t kCacheLineFloats = 16;

std::int64_t length_of(std::span<const std::int32_t> starts, std::size_t sequence) {
  return starts[sequence + 1] - starts[sequence];
}

void check_rows(const AttentionSpec& spec, const TensorView& view, int heads, std::int64_t rows, DType dtype) {
  FERULA_CHECK(view.rank == 3 && view.dim(0) == rows && view.dim(1) == heads && view.dim(2) == spec.head_dim,
               "attention over {} rows wants [rows, {}, {}], found [{}, {}, {}]", rows, heads, spec.head_dim,
               view.dim(0), view.dim(1), view.dim(2));
  FERULA_CHECK(view.stride(2) == 1, "elements of a head lie {} apart", view.stride(2));
  FERULA_CHECK(view.dtype == dtype && (dtype == DType::f32 || dtype == DType::bf16), "attention of {} and {}",
               name_of(view.dtype), name_of(dtype));
}

}  // namespace

std::int64_t count_tiles(std::span<const std::int32_t> starts, std::int64_t heads) {
  std::int64_t tiles = 0;
  for (std::size_t sequence = 0; sequence + 1 < starts.size(); ++sequence)
    tiles += ceil_div(length_of(starts, sequence), kQueryTile) * heads;
  return tiles;
}

QueryTile find_tile(std::span<const std::int32_t> starts, std::int64_t heads, std::int64_t index) {
  for (std::size_t sequence = 0; sequence + 1 < starts.size(); ++sequence) {
    const std::int64_t length = length_of(starts, sequence);
    const std::int64_t tiles = ceil_div(length, kQueryTile);
    if (index < tiles * heads) {
      const std::int64_t first_query = (tiles - 1 - index % tiles) * kQueryTile;
      return {index / tiles, starts[sequence], first_query, std::min(kQueryTile, length - first_query)};
    }
    index -= tiles * heads;
  }
  FERULA_CHECK(false, "no query tile {} beyond the last one", index);
  return {};
}

std::int64_t longest_sequence(std::span<const std::int32_t> starts) {
  std::int64_t longest = 0;
  for (std::size_t sequence = 0; sequence + 1 < starts.size(); ++sequence)
    longest = std::max(longest, length_of(starts, sequence));
  return longest;
}

void check_attention_shapes(const AttentionSpec& spec, std::initializer_list<TensorView> like_q,
                            std::initializer_list<TensorView> like_k, const TensorView& starts,
                            const TensorView& logsumexp) {
  const std::int64_t rows = like_q.begin()->dim(0);
  const DType dtype = like_q.begin()->dtype;
  FERULA_CHECK(spec.kv_heads > 0 && spec.heads % spec.kv_heads == 0, "{} heads over {} key heads", spec.heads,
               spec.kv_heads);
  for (const TensorView& view : like_q) check_rows(spec, view, spec.heads, rows, dtype);
  for (const TensorView& view : like_k) check_rows(spec, view, spec.kv_heads, rows, dtype);
  FERULA_CHECK(logsumexp.dtype == DType::f32 && logsumexp.dim(0) == spec.heads && logsumexp.dim(1) == rows,
               "logsumexp is [{}, {}] for {} heads and {} rows", logsumexp.dim(0), logsumexp.dim(1), spec.heads, rows);
  const std::span<const std::int32_t> bounds = starts.span<std::int32_t>();
  FERULA_CHECK(std::is_sorted(bounds.begin(), bounds.end()), "the starts of packed sequences ascend");
  FERULA_CHECK(bounds.empty() || (bounds.front() >= 0 && bounds.back() <= rows), "sequences in [{}, {}) of {} rows",
               bounds.front(), bounds.back(), rows);
}

bool multiplies_pairs(const TensorView& q) {
  static const bool has_instructions = has_bf16_instructions();
  return q.dtype == DType::bf16 && has_instructions;
}

std::int64_t thread_scratch_bytes(std::int64_t floats_per_thread) {
  return scratch_bytes(DType::f32, round_up(floats_per_thread, kCacheLineFloats) * omp_get_max_threads());
}

ThreadScratch::ThreadScratch(Workspace& workspace, std::int64_t floats_per_thread, std::int64_t items)
    : stride_(round_up(floats_per_thread, kCacheLineFloats)),
      threads_(narrow<int>(std::clamp<std::int64_t>(items, 1, omp_get_max_threads()))),
      lease_(workspace.lease(thread_scratch_bytes(floats_per_thread))),
      pieces_(lease_.take(DType::f32, {threads_, stride_})) {}

std::span<float> ThreadScratch::of_thread(int thread) const { return pieces_.rows(thread, 1).span<float>(); }

}  // namespace ferula::cpu
