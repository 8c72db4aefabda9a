// Tiny models, batches of random tokens and a view of every gradient, for tests of the model and of its schedules.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "model/parameter_table.hpp"
#include "model/transformer.hpp"
#include "support/elements.hpp"
#include "support/rank_parts.hpp"

namespace ferula::test {

/// Odd sizes throughout; weights so large that attention and activations leave their linear range.
inline TransformerSpec tiny_spec(const std::string& family) {
  TransformerSpec spec;
  spec.family = model_family(family);
  spec.layers = 3;
  spec.width = 12;
  spec.heads = 3;
  spec.kv_heads = 3;
  spec.head_dim = 4;
  spec.ffn_width = 19;
  spec.context = 11;
  spec.vocabulary = 23;
  spec.tokens = 21;
  spec.tied = family == "gpt2";
  spec.init_std = 0.35f;
  return spec;
}

/// Llama's shape with two query heads for each key head, and heads that do not add up to the width.
inline TransformerSpec tiny_grouped_spec() {
  TransformerSpec spec = tiny_spec("llama");
  spec.heads = 4;
  spec.kv_heads = 2;
  spec.head_dim = 6;
  return spec;
}

/// Sequences of random tokens that lie one after the other; every fifth row has no target. Owns what `view` shows.
class TestBatch {
 public:
  TestBatch(const TransformerSpec& spec, const std::vector<std::int64_t>& lengths, std::uint32_t seed) {
    std::mt19937 random(seed);
    const auto token = [&] { return static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(spec.tokens)); };
    for (std::size_t sequence = 0; sequence < lengths.size(); ++sequence) {
      for (std::int64_t position = 0; position < lengths[sequence]; ++position) {
        token_.push_back(token());
        position_.push_back(static_cast<std::int32_t>(position));
        target_.push_back(token_.size() % 5 == 0 ? -1 : token());
        sample_.push_back(static_cast<std::int64_t>(100 * seed + sequence));
        slot_.push_back(static_cast<std::int32_t>(sequence));
      }
      starts_.push_back(static_cast<std::int32_t>(token_.size()));
    }
  }

  TokenBatch view() {
    return {.token = view_of(token_),
            .position = view_of(position_),
            .target = view_of(target_),
            .sample = view_of(sample_),
            .starts = view_of(starts_),
            .kv_block = view_of(slot_),
            .step = view_of(step_),
            .rows = static_cast<std::int64_t>(token_.size()),
            .targets = std::count_if(target_.begin(), target_.end(), [](std::int32_t target) { return target >= 0; })};
  }

  /// The rows at these positions of every sequence, in the order of `positions`.
  TestBatch at_positions(const std::vector<std::int32_t>& positions) const {
    TestBatch part;
    for (const std::int32_t position : positions)
      for (std::size_t row = 0; row < token_.size(); ++row)
        if (position_[row] == position) part.append(*this, row);
    return part;
  }

  /// All rows of both, one after the other.
  TestBatch joined_with(const TestBatch& other) const {
    TestBatch both = *this;
    const auto rows = static_cast<std::int32_t>(token_.size());
    for (std::size_t row = 0; row < other.token_.size(); ++row) both.append(other, row);
    for (std::size_t sequence = 1; sequence < other.starts_.size(); ++sequence)
      both.starts_.push_back(rows + other.starts_[sequence]);
    return both;
  }

 private:
  TestBatch() = default;

  void append(const TestBatch& from, std::size_t row) {
    token_.push_back(from.token_[row]);
    position_.push_back(from.position_[row]);
    target_.push_back(from.target_[row]);
    sample_.push_back(from.sample_[row]);
    slot_.push_back(from.slot_[row]);
  }

  template <class T>
  static TensorView view_of(std::vector<T>& values) {
    return {reinterpret_cast<std::byte*>(values.data()), dtype_of<T>, {static_cast<std::int64_t>(values.size())}};
  }

  std::vector<std::int32_t> token_, position_, target_, slot_;
  std::vector<std::int64_t> sample_;
  std::vector<std::int32_t> starts_ = {0};
  std::vector<std::int64_t> step_ = {7};
};

/// A model with its parameter store on one rank.
struct TestModel {
  TestModel(RankParts& rank, const TransformerSpec& spec, ModelSpec table, const TransformerSettings& settings,
            const StoreSettings& store_settings = {}, std::optional<ModelChunk> chunk = {})
      : execution(rank.execution),
        store(std::move(table), store_settings, rank.mesh, rank.execution),
        transformer(spec, store, rank.execution, settings, chunk.value_or(whole_model(spec))) {
    store.initialize(11);
    store.zero_gradients();
  }

  TestModel(RankParts& rank, const TransformerSpec& spec, const TransformerSettings& settings,
            const StoreSettings& store_settings = {}, std::optional<ModelChunk> chunk = {})
      : TestModel(rank, spec, parameter_table(spec, settings.compute), settings, store_settings, chunk) {}

  /// Σ −log p of one micro batch, whose gradient of scale · Σ is added.
  double train(TestBatch& batch, float scale) {
    transformer.forward(batch.view(), 0);
    return transformer.backward(batch.view(), 0, scale);
  }

  /// The value of a tensor, where it lies (stage 0).
  TensorView value(std::size_t unit, std::size_t param) { return store.acquire(unit).tensor(param); }
  /// The gradient of a tensor, where it lies (stage 0); empty where frozen.
  TensorView gradient(std::size_t unit, std::size_t param) { return store.gradient(unit).tensor(param); }

  Execution& execution;
  ParameterStore store;
  Transformer transformer;
};

/// The elements of a contiguous view, whatever its type.
inline std::vector<double> to_vector(const TensorView& view) {
  const TensorView flat = view.range(0, view.count());
  std::vector<double> values;
  for (std::int64_t index = 0; index < flat.count(); ++index) values.push_back(Elements(flat).at(index));
  return values;
}

inline double norm_of(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

/// ‖a − b‖ / max(‖b‖, 0.1): the bias of keys has no gradient but rounding errors, because softmax ignores it.
inline double relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference = a;
  for (std::size_t index = 0; index < a.size(); ++index) difference[index] -= b.at(index);
  return norm_of(difference) / std::max(norm_of(b), 0.1);
}

/// The gradient of every trained tensor, in the order of the table (stage 0).
inline std::vector<std::vector<double>> all_gradients(TestModel& model) {
  std::vector<std::vector<double>> gradients;
  const ModelSpec& table = model.store.model();
  for (std::size_t unit = 0; unit < table.size(); ++unit)
    for (std::size_t param = 0; param < table[unit].params.size(); ++param)
      if (table[unit].params[param].trainable) gradients.push_back(to_vector(model.gradient(unit, param)));
  return gradients;
}

/// The largest relative difference among the tensors.
inline double worst_difference(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  double worst = a.size() == b.size() ? 0.0 : INFINITY;
  for (std::size_t tensor = 0; tensor < a.size() && tensor < b.size(); ++tensor)
    worst = std::max(worst, relative_difference(a[tensor], b[tensor]));
  return worst;
}

}  // namespace ferula::test
