// Plain attention: whole rows of probabilities, packed sequences and a key-value cache.
#include <algorithm>
#include <cmath>
#include <vector>

#include "support/elements.hpp"
#include "support/reference_ops.hpp"

namespace ferula::test {
namespace {

/// Softmax of the scores in place; returns log Σ exp(score).
double softmax(std::vector<double>& scores) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += (score = std::exp(score - largest));
  for (double& score : scores) score /= sum;
  return largest + std::log(sum);
}

/// Calls visit(begin, row) for every row of every packed sequence, `begin` being the sequence's first row.
template <class Visit>
void for_each_row(const TensorView& starts, Visit visit) {
  const Elements bounds(starts);
  for (std::int64_t sequence = 0; sequence + 1 < bounds.count(); ++sequence)
    for (std::int64_t row = bounds.integer(sequence); row < bounds.integer(sequence + 1); ++row)
      visit(bounds.integer(sequence), row);
}

double dot(const Elements& a, std::int64_t a_row, std::int64_t a_head, const Elements& b, std::int64_t b_row,
           std::int64_t b_head, std::int64_t head_dim) {
  double sum = 0;
  for (std::int64_t c = 0; c < head_dim; ++c) sum += a.at(a_row, a_head, c) * b.at(b_row, b_head, c);
  return sum;
}

}  // namespace

void ReferenceOps::attention(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k, TensorView v,
                             TensorView starts, TensorView out, TensorView logsumexp) {
  stream.run([=] {
    const Elements queries(q), keys(k), values(v), result(out), saved(logsumexp);
    for_each_row(starts, [&](std::int64_t begin, std::int64_t row) {
      for (std::int64_t head = 0; head < spec.heads; ++head) {
        const std::int64_t kv_head = head / (spec.heads / spec.kv_heads);
        std::vector<double> weights;
        for (std::int64_t key = begin; key <= row; ++key)
          weights.push_back(spec.scale * dot(queries, row, head, keys, key, kv_head, spec.head_dim));
        saved.set(softmax(weights), head, row);
        for (std::int64_t c = 0; c < spec.head_dim; ++c) {
          double sum = 0;
          for (std::size_t j = 0; j < weights.size(); ++j)
            sum += weights[j] * values.at(begin + static_cast<std::int64_t>(j), kv_head, c);
          result.set(sum, row, head, c);
        }
      }
    });
  });
}

void ReferenceOps::attention_backward(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k,
                                      TensorView v, TensorView starts, TensorView out, TensorView dout,
                                      TensorView logsumexp, TensorView dq, TensorView dk, TensorView dv) {
  stream.run([=] {
    const Elements queries(q), keys(k), values(v), result(out), upstream(dout), saved(logsumexp), query_gradient(dq);
    const std::int64_t width = spec.head_dim, rows = q.dim(0);
    const auto kv_count = static_cast<std::size_t>(rows * spec.kv_heads * width);
    std::vector<double> key_sum(kv_count), value_sum(kv_count);
    for_each_row(starts, [&](std::int64_t begin, std::int64_t row) {
      for (std::int64_t head = 0; head < spec.heads; ++head) {
        const std::int64_t kv_head = head / (spec.heads / spec.kv_heads);
        const double mean = dot(upstream, row, head, result, row, head, width);
        std::vector<double> query_sum(static_cast<std::size_t>(width));
        for (std::int64_t key = begin; key <= row; ++key) {
          const double score = spec.scale * dot(queries, row, head, keys, key, kv_head, width);
          const double weight = std::exp(score - saved.at(head, row));
          const double slope = dot(upstream, row, head, values, key, kv_head, width) - mean;
          for (std::int64_t c = 0; c < width; ++c) {
            const auto at = static_cast<std::size_t>((key * spec.kv_heads + kv_head) * width + c);
            query_sum[static_cast<std::size_t>(c)] += weight * slope * spec.scale * keys.at(key, kv_head, c);
            key_sum[at] += weight * slope * spec.scale * queries.at(row, head, c);
            value_sum[at] += weight * upstream.at(row, head, c);
          }
        }
        for (std::int64_t c = 0; c < width; ++c)
          query_gradient.set(query_sum[static_cast<std::size_t>(c)], row, head, c);
      }
    });
    const Elements key_gradient(dk), value_gradient(dv);
    for (std::int64_t at = 0; at < static_cast<std::int64_t>(kv_count); ++at) {
      key_gradient.flat_set(key_sum[static_cast<std::size_t>(at)], at);
      value_gradient.flat_set(value_sum[static_cast<std::size_t>(at)], at);
    }
  });
}

void ReferenceOps::cache_append(Stream& stream, TensorView k, TensorView v, TensorView slot, TensorView position,
                                TensorView k_cache, TensorView v_cache) {
  stream.run([=] {
    const Elements keys(k), values(v), slots(slot), places(position), key_cache(k_cache), value_cache(v_cache);
    for (std::int64_t row = 0; row < keys.dim(0); ++row)
      for (std::int64_t head = 0; head < keys.dim(1); ++head)
        for (std::int64_t c = 0; c < keys.dim(2); ++c) {
          key_cache.set(keys.at(row, head, c), slots.integer(row), places.integer(row), head, c);
          value_cache.set(values.at(row, head, c), slots.integer(row), places.integer(row), head, c);
        }
  });
}

void ReferenceOps::attention_cached(Stream& stream, const AttentionSpec& spec, TensorView q, TensorView k_cache,
                                    TensorView v_cache, TensorView slot, TensorView position, TensorView out) {
  stream.run([=] {
    const Elements queries(q), keys(k_cache), values(v_cache), slots(slot), places(position), result(out);
    for (std::int64_t row = 0; row < queries.dim(0); ++row)
      for (std::int64_t head = 0; head < spec.heads; ++head) {
        const std::int64_t kv_head = head / (spec.heads / spec.kv_heads), cache_slot = slots.integer(row);
        std::vector<double> weights;
        for (std::int64_t key = 0; key <= places.integer(row); ++key) {
          double score = 0;
          for (std::int64_t c = 0; c < spec.head_dim; ++c)
            score += queries.at(row, head, c) * keys.at(cache_slot, key, kv_head, c);
          weights.push_back(spec.scale * score);
        }
        softmax(weights);
        for (std::int64_t c = 0; c < spec.head_dim; ++c) {
          double sum = 0;
          for (std::size_t j = 0; j < weights.size(); ++j)
            sum += weights[j] * values.at(cache_slot, static_cast<std::int64_t>(j), kv_head, c);
          result.set(sum, row, head, c);
        }
      }
  });
}

}  // namespace ferula::test
