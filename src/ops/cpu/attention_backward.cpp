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
  Panel queries, upstream;                        // [kQueryTile, width]: q and dout of the tile
  Panel queries_transposed, upstream_transposed;  // [width, kQueryTile]: the first times scale · log2 e
  Panel keys, values;                             // [kKeyBlock, width]
  Panel weights, slopes;                          // [keys, queries]: softmax, and the gradient of the scores
  Panel query_sums;                               // [kQueryTile, width]: dq of the tile
  Panel key_sums, value_sums;                     // [padded length, width]: dk and dv of the sequence
  float* logsumexp;                               // [kQueryTile], to base 2
  float* means;                                   // [kQueryTile]: dout · out of each query

  BackwardPanels(std::span<float> scratch, std::int64_t width, std::int64_t length) {
    PanelStack stack(scratch);
    for (Panel* panel : {&queries, &upstream, &query_sums}) *panel = stack.take(kQueryTile, width);
    for (Panel* panel : {&queries_transposed, &upstream_transposed}) *panel = stack.take(width, kQueryTile);
    for (Panel* panel : {&keys, &values}) *panel = stack.take(kKeyBlock, width);
    for (Panel* panel : {&weights, &slopes}) *panel = stack.take(kKeyBlock, kQueryTile);
    for (Panel* panel : {&key_sums, &value_sums}) *panel = stack.take(round_up(length, kRowStep), width);
    logsumexp = stack.take(1, kQueryTile).data;
    means = stack.take(1, kQueryTile).data;
  }
};

/// means[query] = upstream[query] · out[query], with `out` loaded into `staging`.
HWY_INLINE void mean_slopes(const TensorView& out, Panel upstream, Panel staging, std::int64_t columns, float* means) {
  load_rows(out, staging, columns);
  const std::int64_t width = padded_width(out.dim(1));
  for (std::int64_t query = 0; query < columns; ++query) {
    Floats sum = hn::Zero(kFloat);
    for (std::int64_t at = 0; at < width; at += kLanes)
      sum = hn::MulAdd(hn::LoadU(kFloat, upstream.row(query) + at), hn::LoadU(kFloat, staging.row(query) + at), sum);
    means[query] = sum_of_lanes(sum);
  }
}

/// Scores to softmax weights, and their slopes: weights · (slopes − mean). Masked pairs become 0 in both.
template <bool kMasked>
HWY_INLINE void weigh_block(const BackwardPanels& panels, const KeyBlock& block, std::int64_t columns) {
  for (std::int64_t column = block.first_column; column < columns; column += kLanes) {
    const Floats logarithm = hn::LoadU(kFloat, panels.logsumexp + column);
    const Floats mean = hn::LoadU(kFloat, panels.means + column);
    for (std::int64_t key = 0; key < block.count; ++key) {
      float* weight_at = panels.weights.row(key) + column;
      float* slope_at = panels.slopes.row(key) + column;
      Floats weight = exp2(hn::Sub(hn::LoadU(kFloat, weight_at), logarithm));
      if constexpr (kMasked) weight = hn::IfThenElseZero(visible(block.first_column + key, column), weight);
      hn::StoreU(weight, kFloat, weight_at);
      hn::StoreU(hn::Mul(weight, hn::Sub(hn::LoadU(kFloat, slope_at), mean)), kFloat, slope_at);
    }
  }
}

/// Adds what one block of keys and one query tile give each other.
HWY_INLINE void backward_block(const BackwardPanels& panels, const BackwardHead& head, KeyBlock block,
                               std::int64_t columns, std::int64_t width) {
  const std::int64_t present = std::min(block.count, head.k.dim(0) - block.begin);
  const std::int64_t first = block.first_column;
  const std::int64_t queries = columns - first;
  block.count = round_up(present, kRowStep);
  load_rows(head.k.rows(block.begin, present), panels.keys, block.count);
  load_rows(head.v.rows(block.begin, present), panels.values, block.count);
  const Panel weights = panels.weights.at(0, first);
  const Panel slopes = panels.slopes.at(0, first);
  multiply<Left::by_rows, Result::overwrite>(panels.keys, panels.queries_transposed.at(0, first), weights, block.count,
                                             queries, width);
  multiply<Left::by_rows, Result::overwrite>(panels.values, panels.upstream_transposed.at(0, first), slopes,
                                             block.count, queries, width);
  block.masked ? weigh_block<true>(panels, block, columns) : weigh_block<false>(panels, block, columns);
  multiply<Left::by_rows, Result::add>(weights, panels.upstream.at(first, 0), panels.value_sums.at(block.begin, 0),
                                       block.count, width, queries);
  multiply<Left::by_rows, Result::add>(slopes, panels.queries.at(first, 0), panels.key_sums.at(block.begin, 0),
                                       block.count, width, queries);
  multiply<Left::by_columns, Result::add>(slopes, panels.keys, panels.query_sums.at(first, 0), queries, width, present);
}

/// Loads what one query tile of one query head brings to every block of keys.
HWY_INLINE void load_queries(const BackwardPanels& panels, const BackwardHead& head, std::int64_t member,
                             std::int64_t first_query, std::int64_t count) {
  const std::int64_t width = padded_width(head.k.dim(1));
  const std::int64_t columns = padded_queries(count);
  const TensorView q = head_rows(head.q, member, first_query, count);
  load_rows(q, panels.query_sums, columns, head.scale * std::numbers::log2e_v<float>);
  transpose(panels.query_sums, panels.queries_transposed, width, columns);
  load_rows(q, panels.queries, columns);
  load_rows(head_rows(head.dout, member, first_query, count), panels.upstream, columns);
  transpose(panels.upstream, panels.upstream_transposed, width, columns);
  mean_slopes(head_rows(head.out, member, first_query, count), panels.upstream, panels.query_sums, columns,
              panels.means);
  const std::span<const float> logarithms = head.logsumexp.rows(member, 1).columns(first_query, count).span<float>();
  for (std::int64_t query = 0; query < count; ++query)
    panels.logsumexp[query] = logarithms[static_cast<std::size_t>(query)] * std::numbers::log2e_v<float>;
  std::fill(panels.logsumexp + count, panels.logsumexp + columns, 0.0f);  // padding: its q and dout are 0
}

/// One query tile of one query head: writes its dq, adds to the sums of dk and dv.
HWY_INLINE void backward_tile(const BackwardPanels& panels, const BackwardHead& head, std::int64_t member,
                              std::int64_t first_query) {
  const std::int64_t width = padded_width(head.k.dim(1));
  const std::int64_t count = std::min(kQueryTile, head.k.dim(0) - first_query);
  load_queries(panels, head, member, first_query, count);
  std::fill_n(panels.query_sums.data, padded_queries(count) * width, 0.0f);
  for (std::int64_t begin = 0; begin < first_query + count;) {
    const KeyBlock block = key_block(begin, first_query);
    backward_block(panels, head, block, padded_queries(count), width);
    begin += block.count;
  }
  store_rows(panels.query_sums, head_rows(head.dq, member, first_query, count), head.scale);
}

void backward_head(const BackwardHead& head, std::span<float> scratch) {
  const std::int64_t width = padded_width(head.k.dim(1));
  const std::int64_t length = head.k.dim(0);
  const BackwardPanels panels(scratch, width, length);
  std::fill_n(panels.key_sums.data, round_up(length, kRowStep) * width, 0.0f);
  std::fill_n(panels.value_sums.data, round_up(length, kRowStep) * width, 0.0f);
  for (std::int64_t member = 0; member < head.q.dim(1); ++member)
    for (std::int64_t first_query = 0; first_query < length; first_query += kQueryTile)
      backward_tile(panels, head, member, first_query);
  store_rows(panels.key_sums, head.dk, head.scale);
  store_rows(panels.value_sums, head.dv);
}

}  // namespace ferula::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ferula::cpu {
namespace {

HWY_EXPORT(backward_head);

/// Floats of scratch that `backward_head` takes.
std::int64_t backward_scratch(std::int64_t head_dim, std::int64_t length) {
  return padded_width(head_dim) * (5 * kQueryTile + 2 * kKeyBlock + 2 * round_up(length, kRowStep)) +
         2 * kKeyBlock * kQueryTile + 2 * kQueryTile;
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
  const auto run = HWY_DYNAMIC_DISPATCH(backward_head);
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
