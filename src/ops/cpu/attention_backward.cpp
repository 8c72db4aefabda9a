// The gradient of causal attention: probabilities are computed again from the saved log Σ exp, tile by tile.
// One piece of work is one key head of one sequence: dk and dv are summed over its query heads and tiles in order.
// Method: Dao, "FlashAttention-2" (2023), with the query tiles outside and the key blocks inside.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention_backward.cpp"
// clang-format off
#include "ops/cpu/simd_targets.hpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
// clang-format on
#include <omp.h>

#include <numbers>

#include "ops/cpu/attention.hpp"
#include "ops/cpu/attention_kernels-inl.hpp"
#include "ops/cpu/attention_plan.hpp"

HWY_BEFORE_NAMESPACE();
namespace ferula::cpu::HWY_NAMESPACE {

/// The scratch of one thread.
struct BackwardPanels {
  Panel queries, upstream;                        // q and dout of the tile, across its [kQueryTile] rows
  Panel queries_transposed, upstream_transposed;  // [width, kQueryTile]; the first scaled where words can hold that
  Panel keys, values;                             // along the [kKeyBlock] rows
  Panel keys_across;                              // the same as `keys` where words are singles
  Panel weights, slopes;                          // [keys, queries]: softmax, and the gradient of the scores
  Panel slopes_across;                            // the same as `slopes` where words are singles
  Panel query_sums;                               // [kQueryTile, width]: dq of the tile
  Panel key_sums, value_sums;                     // [padded length, width]: dk and dv of the sequence
  float* logsumexp;                               // [kQueryTile], to base 2
  float* means;                                   // [kQueryTile]: dout · out of each query
  float scale;                                    // by which scores are still to be multiplied
};

template <class Words>
HWY_INLINE BackwardPanels cut_panels(std::span<float> scratch, std::int64_t width, std::int64_t length) {
  BackwardPanels cut;
  PanelStack stack(scratch);
  for (Panel* panel : {&cut.queries, &cut.upstream, &cut.query_sums}) *panel = stack.take(kQueryTile, width);
  for (Panel* panel : {&cut.queries_transposed, &cut.upstream_transposed}) *panel = stack.take(width, kQueryTile);
  for (Panel* panel : {&cut.keys, &cut.values}) *panel = stack.take(kKeyBlock, width);
  for (Panel* panel : {&cut.weights, &cut.slopes}) *panel = stack.take(kKeyBlock, kQueryTile);
  for (Panel* panel : {&cut.key_sums, &cut.value_sums}) *panel = stack.take(round_up(length, kRowStep), width);
  constexpr std::int64_t kWords = kKeyBlock / Words::kElements;
  cut.keys_across = Words::kElements > 1 ? stack.take(kWords, width) : cut.keys;
  cut.slopes_across = Words::kElements > 1 ? stack.take(kWords, kQueryTile) : cut.slopes;
  cut.logsumexp = stack.take(1, kQueryTile).data;
  cut.means = stack.take(1, kQueryTile).data;
  return cut;
}

/// means[query] = dout[query] · out[query] of views [queries, head_dim]; 0 for the padding up to `columns`.
template <class T>
HWY_INLINE void mean_slopes(const TensorView& dout, const TensorView& out, std::int64_t columns, float* means) {
  for (std::int64_t query = 0; query < out.dim(0); ++query) {
    const T* const left = row_of<T>(dout, query);
    const T* const right = row_of<T>(out, query);
    Floats sum = hn::Zero(kFloat);
    sweep(out.dim(1), [&](std::int64_t at, std::int64_t lanes)
                          HWY_ATTR { sum = hn::MulAdd(load(left + at, lanes), load(right + at, lanes), sum); });
    means[query] = sum_of_lanes(sum);
  }
  std::fill(means + out.dim(0), means + columns, 0.0f);
}

/// Scores to softmax weights, and their slopes: weights · (slopes − mean). Masked pairs become 0 in both. Both become
/// words along rows, in the place of what has been read; the slopes become words across rows, too.
template <class Words, bool kMasked>
HWY_INLINE void weigh_block(const BackwardPanels& panels, const KeyBlock& block, std::int64_t columns) {
  const Floats scales = hn::Set(kFloat, panels.scale);
  for (std::int64_t column = block.first_column; column < columns; column += 2 * kLanes) {
    for (std::int64_t key = 0; key < block.count; key += 2) {
      Floats slopes[2][2];
#pragma GCC unroll 2
      for (std::int64_t row = 0; row < 2; ++row) {
        float* const weights_at = panels.weights.row(key + row);
        float* const slopes_at = panels.slopes.row(key + row);
        Floats weights[2];
#pragma GCC unroll 2
        for (std::int64_t half = 0; half < 2; ++half) {
          const std::int64_t at = column + half * kLanes;
          const Floats score = hn::LoadU(kFloat, weights_at + at);
          weights[half] = exp2(hn::MulSub(score, scales, hn::LoadU(kFloat, panels.logsumexp + at)));
          if constexpr (kMasked)
            weights[half] = hn::IfThenElseZero(visible(block.first_column + key + row, at), weights[half]);
          const Floats mean = hn::LoadU(kFloat, panels.means + at);
          slopes[row][half] = hn::Mul(weights[half], hn::Sub(hn::LoadU(kFloat, slopes_at + at), mean));
        }
        Words::store_along(weights[0], weights[1], weights_at, column);
        Words::store_along(slopes[row][0], slopes[row][1], slopes_at, column);
      }
      if constexpr (Words::kElements > 1)
        for (std::int64_t half = 0; half < 2; ++half)
          Words::store_across(slopes[0][half], slopes[1][half], panels.slopes_across, key, column + half * kLanes);
    }
  }
}

/// Adds what one block of keys and one query tile give each other.
template <class Words>
HWY_INLINE void backward_block(const BackwardPanels& panels, const BackwardHead& head, KeyBlock block,
                               std::int64_t columns, std::int64_t width) {
  const std::int64_t present = std::min(block.count, head.k.dim(0) - block.begin);
  const std::int64_t first = block.first_column;
  const std::int64_t queries = columns - first;
  block.count = round_up(present, kRowStep);
  const TensorView k = head.k.rows(block.begin, present);
  Words::load_along(k, panels.keys, block.count);
  if constexpr (Words::kElements > 1) Words::load_across(k, panels.keys_across, block.count);
  Words::load_along(head.v.rows(block.begin, present), panels.values, block.count);
  multiply<Words, Left::by_rows, Result::overwrite>(panels.keys, panels.queries_transposed.at(0, first),
                                                    panels.weights.at(0, first), block.count, queries,
                                                    width / Words::kElements);
  multiply<Words, Left::by_rows, Result::overwrite>(panels.values, panels.upstream_transposed.at(0, first),
                                                    panels.slopes.at(0, first), block.count, queries,
                                                    width / Words::kElements);
  block.masked ? weigh_block<Words, true>(panels, block, columns) : weigh_block<Words, false>(panels, block, columns);
  multiply<Words, Left::by_rows, Result::add>(
      along<Words>(panels.weights, first), across<Words>(panels.upstream, first), panels.value_sums.at(block.begin, 0),
      block.count, width, queries / Words::kElements);
  multiply<Words, Left::by_rows, Result::add>(along<Words>(panels.slopes, first), across<Words>(panels.queries, first),
                                              panels.key_sums.at(block.begin, 0), block.count, width,
                                              queries / Words::kElements);
  multiply<Words, Left::by_columns, Result::add>(panels.slopes_across.at(0, first), panels.keys_across,
                                                 panels.query_sums.at(first, 0), queries, width,
                                                 block.count / Words::kElements);
}

/// Loads what one query tile of one query head brings to every block of keys.
template <class Words>
HWY_INLINE void load_queries(BackwardPanels& panels, const BackwardHead& head, std::int64_t member,
                             std::int64_t first_query, std::int64_t count) {
  const std::int64_t width = padded_width(head.k.dim(1));
  const std::int64_t columns = padded_queries(count);
  const std::int64_t words = width / Words::kElements;
  const TensorView q = head_rows(head.q, member, first_query, count);
  const TensorView dout = head_rows(head.dout, member, first_query, count);
  const TensorView out = head_rows(head.out, member, first_query, count);
  panels.scale = Words::load_scaled(q, panels.query_sums, columns, head.scale * std::numbers::log2e_v<float>);
  transpose(panels.query_sums, panels.queries_transposed, words, columns);
  Words::load_across(q, panels.queries, columns);
  Words::load_along(dout, panels.query_sums, columns);
  transpose(panels.query_sums, panels.upstream_transposed, words, columns);
  Words::load_across(dout, panels.upstream, columns);
  out.dtype == DType::bf16 ? mean_slopes<bf16>(dout, out, columns, panels.means)
                           : mean_slopes<float>(dout, out, columns, panels.means);
  const std::span<const float> logarithms = head.logsumexp.rows(member, 1).columns(first_query, count).span<float>();
  for (std::int64_t query = 0; query < count; ++query)
    panels.logsumexp[query] = logarithms[static_cast<std::size_t>(query)] * std::numbers::log2e_v<float>;
  std::fill(panels.logsumexp + count, panels.logsumexp + columns, 0.0f);  // padding: its q and dout are 0
}

/// One query tile of one query head: writes its dq, adds to the sums of dk and dv.
template <class Words>
HWY_INLINE void backward_tile(BackwardPanels& panels, const BackwardHead& head, std::int64_t member,
                              std::int64_t first_query) {
  const std::int64_t width = padded_width(head.k.dim(1));
  const std::int64_t count = std::min(kQueryTile, head.k.dim(0) - first_query);
  load_queries<Words>(panels, head, member, first_query, count);
  std::fill_n(panels.query_sums.data, padded_queries(count) * width, 0.0f);
  for (std::int64_t begin = 0; begin < first_query + count;) {
    const KeyBlock block = key_block(begin, first_query);
    backward_block<Words>(panels, head, block, padded_queries(count), width);
    begin += block.count;
  }
  store_rows(panels.query_sums, head_rows(head.dq, member, first_query, count), head.scale);
}

template <class Words>
HWY_INLINE void backward(const BackwardHead& head, std::span<float> scratch) {
  const std::int64_t width = padded_width(head.k.dim(1));
  const std::int64_t length = head.k.dim(0);
  BackwardPanels panels = cut_panels<Words>(scratch, width, length);
  std::fill_n(panels.key_sums.data, round_up(length, kRowStep) * width, 0.0f);
  std::fill_n(panels.value_sums.data, round_up(length, kRowStep) * width, 0.0f);
  for (std::int64_t member = 0; member < head.q.dim(1); ++member)
    for (std::int64_t first_query = 0; first_query < length; first_query += kQueryTile)
      backward_tile<Words>(panels, head, member, first_query);
  store_rows(panels.key_sums, head.dk, head.scale);
  store_rows(panels.value_sums, head.dv);
}

void backward_in_singles(const BackwardHead& head, std::span<float> scratch) { backward<Singles>(head, scratch); }
void backward_in_pairs(const BackwardHead& head, std::span<float> scratch) { backward<Pairs>(head, scratch); }

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(backward_in_singles);
HWY_EXPORT(backward_in_pairs);

/// Floats of scratch that a head takes.
std::int64_t backward_scratch(std::int64_t head_dim, std::int64_t length) {
  return padded_width(head_dim) * (5 * kQueryTile + 3 * kKeyBlock + 2 * round_up(length, kRowStep)) +
         3 * kKeyBlock * kQueryTile + 2 * kQueryTile;
}

}  // namespace

std::int64_t attention_backward_scratch(const AttentionSpec& spec, std::int64_t longest_sequence) {
  return thread_scratch_bytes(backward_scratch(spec.head_dim, longest_sequence));
}

void attention_backward(Workspace& workspace, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
                        TensorView starts, TensorView out, TensorView dout, TensorView logsumexp, TensorView dq,
                        TensorView dk, TensorView dv) {
  check_attention_shapes(spec, {q, out, dout, dq}, {k, v, dk, dv}, starts, logsumexp);
  const std::span<const std::int32_t> bounds = starts.span<std::int32_t>();
  if (bounds.size() < 2) return;
  const std::int64_t items = static_cast<std::int64_t>(bounds.size() - 1) * spec.kv_heads;
  const int group = spec.heads / spec.kv_heads;
  const auto run =
      multiplies_pairs(q) ? HWY_DYNAMIC_DISPATCH(backward_in_pairs) : HWY_DYNAMIC_DISPATCH(backward_in_singles);
  ThreadScratch scratch(workspace, backward_scratch(spec.head_dim, longest_sequence(bounds)), items);
#pragma omp parallel for schedule(dynamic) num_threads(scratch.threads())
  for (std::int64_t item = 0; item < items; ++item) {
    const std::int64_t kv_head = item % spec.kv_heads;
    const auto sequence = static_cast<std::size_t>(item / spec.kv_heads);
    const std::int64_t begin = bounds[sequence];
    const std::int64_t length = bounds[sequence + 1] - begin;
    const auto queries = [&](const TensorView& view) {
      return head_group(view, kv_head * group, group).rows(begin, length);
    };
    const auto keys = [&](const TensorView& view) { return head_rows(view, kv_head, begin, length); };
    run({queries(q), queries(out), queries(dout), queries(dq), keys(k), keys(v), keys(dk), keys(dv),
         logsumexp.rows(kv_head * group, group).columns(begin, length), spec.scale},
        scratch.of_thread(omp_get_thread_num()));
  }
}

}  // namespace ferula::cpu
#endif  // HWY_ONCE
