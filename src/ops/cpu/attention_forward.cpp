// Causal attention over packed sequences: each query tile runs over its keys with an online softmax.
// Scores are held transposed, [keys, queries]: the softmax then works on whole vectors of queries, and of all
// operands only the queries are ever transposed. Method: Dao et al., "FlashAttention" (2022).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention_forward.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include <omp.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "ops/cpu/attention.hpp"
#include "ops/cpu/attention_kernels-inl.hpp"
#include "ops/cpu/attention_plan.hpp"
#include "ops/cpu/workspace.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

/// The state of the online softmax of a query tile, one entry a query.
struct SoftmaxState {
  float* maximum;  // of the scores so far, which are products of queries and keys
  float* total;    // Σ 2^(scale · (score − maximum))
  float* factor;   // 2^(scale · (old maximum − new maximum)) of the last block
};

/// Masks the scores of a block and returns the largest of the columns from `column` on, `old` included.
template <bool kMasked>
HWY_INLINE Floats largest_scores(Panel scores, const KeyBlock& block, std::int64_t column, Floats old) {
  const Floats lowest = hn::Set(kFloat, -std::numeric_limits<float>::infinity());
  Floats best[4] = {old, lowest, lowest, lowest};  // four chains hide the latency
  for (std::int64_t key = 0; key < block.count; key += 4)
#pragma GCC unroll 4
    for (std::int64_t lane = 0; lane < 4; ++lane) {
      float* at = scores.row(key + lane) + column;
      Floats score = hn::LoadU(kFloat, at);
      if constexpr (kMasked) {
        score = hn::IfThenElse(visible(block.first_column + key + lane, column), score, lowest);
        hn::StoreU(score, kFloat, at);
      }
      best[lane] = hn::Max(best[lane], score);
    }
  return hn::Max(hn::Max(best[0], best[1]), hn::Max(best[2], best[3]));
}

/// Turns the scores of a block into 2^(scale · (score − maximum)), as words across rows, and brings the state up to
/// date. The words take the place of scores that have been read.
template <class Words, bool kMasked>
HWY_INLINE void softmax_block(Panel scores, const KeyBlock& block, std::int64_t columns, float scale,
                              const SoftmaxState& state) {
  const Floats scales = hn::Set(kFloat, scale);
  for (std::int64_t column = block.first_column; column < columns; column += kLanes) {
    const Floats old = hn::LoadU(kFloat, state.maximum + column);
    const Floats maximum = largest_scores<kMasked>(scores, block, column, old);
    Floats sums[2] = {hn::Zero(kFloat), hn::Zero(kFloat)};
    for (std::int64_t key = 0; key < block.count; key += 2) {
      Floats weights[2];
#pragma GCC unroll 2
      for (std::int64_t lane = 0; lane < 2; ++lane) {
        weights[lane] = exp2(hn::Mul(hn::Sub(hn::LoadU(kFloat, scores.row(key + lane) + column), maximum), scales));
        sums[lane] = hn::Add(sums[lane], weights[lane]);
      }
      Words::store_across(weights[0], weights[1], scores, key, column);
    }
    const Floats factor = exp2(hn::Mul(hn::Sub(old, maximum), scales));
    const Floats total = hn::LoadU(kFloat, state.total + column);
    hn::StoreU(maximum, kFloat, state.maximum + column);
    hn::StoreU(hn::MulAdd(total, factor, hn::Add(sums[0], sums[1])), kFloat, state.total + column);
    hn::StoreU(factor, kFloat, state.factor + column);
  }
}

/// Divides by the totals and writes the tile's output and log Σ exp.
HWY_INLINE void finish_tile(const ForwardTile& tile, float scale, const SoftmaxState& state, Panel sums) {
  for (std::int64_t query = 0; query < tile.q.dim(0); ++query) {
    store_rows(sums.at(query, 0), tile.out.rows(query, 1), 1.0f / state.total[query]);
    tile.logsumexp[static_cast<std::size_t>(query)] =
        (state.maximum[query] * scale + std::log2(state.total[query])) * std::numbers::ln2_v<float>;
  }
}

template <class Words>
HWY_INLINE void forward(const ForwardTile& tile, std::span<float> scratch) {
  const std::int64_t width = padded_width(tile.q.dim(1));
  const std::int64_t columns = padded_queries(tile.q.dim(0));
  PanelStack stack(scratch);
  const Panel queries = stack.take(width, kQueryTile);  // transposed, and scaled where words can hold that
  const Panel sums = stack.take(kQueryTile, width);     // of weighted values
  const Panel staging = stack.take(kKeyBlock, width);   // keys, then values
  const Panel scores = stack.take(kKeyBlock, kQueryTile);
  const SoftmaxState state{stack.take(1, kQueryTile).data, stack.take(1, kQueryTile).data,
                           stack.take(1, kQueryTile).data};
  const float scale = Words::load_scaled(tile.q, sums, columns, tile.scale * std::numbers::log2e_v<float>);
  transpose(sums, queries, width / Words::kElements, columns);
  std::fill_n(sums.data, columns * width, 0.0f);
  std::fill_n(state.maximum, columns, -std::numeric_limits<float>::infinity());
  std::fill_n(state.total, columns, 0.0f);

  const std::int64_t keys = tile.k.dim(0);
  for (std::int64_t begin = 0; begin < keys;) {
    KeyBlock block = key_block(begin, tile.first_query);
    const std::int64_t present = std::min(block.count, keys - begin);
    const std::int64_t first = block.first_column;
    begin += block.count;
    block.count = round_up(present, kRowStep);
    Words::load_along(tile.k.rows(block.begin, present), staging, block.count);
    multiply<Words, Left::by_rows, Result::overwrite>(staging, queries.at(0, first), scores.at(0, first), block.count,
                                                      columns - first, width / Words::kElements);
    block.masked ? softmax_block<Words, true>(scores, block, columns, scale, state)
                 : softmax_block<Words, false>(scores, block, columns, scale, state);
    Words::load_across(tile.v.rows(block.begin, present), staging, block.count);
    multiply<Words, Left::by_columns, Result::rescale>(scores.at(0, first), staging, sums.at(first, 0), columns - first,
                                                       width, block.count / Words::kElements, state.factor + first);
  }
  finish_tile(tile, scale, state, sums);
}

void forward_in_singles(const ForwardTile& tile, std::span<float> scratch) { forward<Singles>(tile, scratch); }
void forward_in_pairs(const ForwardTile& tile, std::span<float> scratch) { forward<Pairs>(tile, scratch); }

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(forward_in_singles);
HWY_EXPORT(forward_in_pairs);

/// Floats of scratch that a tile takes.
std::int64_t forward_scratch(std::int64_t head_dim) {
  return (2 * kQueryTile + kKeyBlock) * padded_width(head_dim) + kKeyBlock * kQueryTile + 3 * kQueryTile;
}

}  // namespace

std::int64_t attention_scratch(const AttentionSpec& spec) {
  return thread_scratch_bytes(forward_scratch(spec.head_dim));
}

void attention(Workspace& workspace, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
               TensorView starts, TensorView out, TensorView logsumexp) {
  check_attention_shapes(spec, {q, out}, {k, v}, starts, logsumexp);
  const std::span<const std::int32_t> bounds = starts.span<std::int32_t>();
  const std::int64_t tiles = count_tiles(bounds, spec.heads);
  const int group = spec.heads / spec.kv_heads;
  const auto run =
      multiplies_pairs(q) ? HWY_DYNAMIC_DISPATCH(forward_in_pairs) : HWY_DYNAMIC_DISPATCH(forward_in_singles);
  ThreadScratch scratch(workspace, forward_scratch(spec.head_dim), tiles);
#pragma omp parallel for schedule(dynamic) num_threads(scratch.threads())
  for (std::int64_t item = 0; item < tiles; ++item) {
    const QueryTile at = find_tile(bounds, spec.heads, item);
    const std::int64_t keys = at.first_query + at.queries;
    const std::int64_t row = at.begin + at.first_query;
    const std::span<float> logarithms = logsumexp.rows(at.head, 1).columns(row, at.queries).span<float>();
    run({head_rows(q, at.head, row, at.queries), head_rows(k, at.head / group, at.begin, keys),
         head_rows(v, at.head / group, at.begin, keys), head_rows(out, at.head, row, at.queries), logarithms,
         at.first_query, spec.scale},
        scratch.of_thread(omp_get_thread_num()));
  }
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
