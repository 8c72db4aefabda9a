#include "store_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/reference_ops.hpp"

namespace ferula {
namespace {

using test::RankParts;

/// What global contribution `index` adds to element `element`: integers, so that sums are exact in any order.
float contribution(std::int64_t index, std::int64_t element) {
  return static_cast<float>((index * 7 + element * 3) % 23 - 11);
}

void add_contribution(const UnitLease& gradient, std::size_t params, std::int64_t index) {
  for (std::size_t param = 0; param < params; ++param) {
    const TensorView tensor = gradient.tensor(param);
    if (tensor.data == nullptr) continue;
    const std::span<float> values = tensor.span<float>();
    for (std::size_t element = 0; element < values.size(); ++element)
      values[element] += contribution(index, static_cast<std::int64_t>(element) + static_cast<std::int64_t>(param));
  }
}

constexpr std::int64_t kContributions = 12;  // divisible by 1, 2, 3, 4 ranks and 1, 2 … micro batches

/// The first of two steps leaves all sums to the end; the second sums each unit after its last micro batch.
GradientState state_after(std::int64_t step, std::int64_t micro, std::int64_t micro_batches) {
  return step == 2 && micro == micro_batches - 1 ? GradientState::complete : GradientState::partial;
}

/// Runs two steps; every layout sees the same twelve contributions a step.
void train(ParameterStore& store, RankParts& rank, double* norm) {
  const std::int64_t each = kContributions / rank.mesh.shape().data();
  for (std::int64_t step = 1; step <= 2; ++step) {
    store.zero_gradients();
    for (std::int64_t micro = 0; micro < each; ++micro) {
      for (std::size_t unit = store.model().size(); unit-- > 0;) {
        UnitLease gradient = store.gradient(unit);
        add_contribution(gradient, store.model()[unit].params.size(), rank.mesh.data().rank() * each + micro + step);
        store.reduce(std::move(gradient), state_after(step, micro, each));
      }
    }
    store.finish_gradients();
    *norm = store.gradient_norm();
    store.update({.learning_rate = 0.01, .gradient_scale = 0.5, .step = step});
  }
}

void read_values(ParameterStore& store, Ops& ops, Stream& stream, Tensors& tensors) {
  for (std::size_t unit = 0; unit < store.model().size(); ++unit) {
    const UnitLease lease = store.acquire(unit);
    for (std::size_t param = 0; param < store.model()[unit].params.size(); ++param) {
      std::vector<float>& values = tensors[store.model()[unit].params[param].name];
      values.resize(static_cast<std::size_t>(lease.tensor(param).count()));
      ops.copy(stream, lease.tensor(param).range(0, lease.tensor(param).count()),
               TensorView(reinterpret_cast<std::byte*>(values.data()), DType::f32,
                          {static_cast<std::int64_t>(values.size())}));
    }
  }
}

}  // namespace

ModelSpec large_model(DType storage) {
  ModelSpec model;
  for (int unit = 0; unit < 6; ++unit)
    model.push_back({fmt::format("u{}", unit),
                     {{.name = fmt::format("u{}.w", unit), .shape = {200, 301}, .storage = storage},
                      {.name = fmt::format("u{}.v", unit), .shape = {101, 300}, .storage = storage}}});
  return model;
}

ModelSpec toy_model(DType storage) {
  const auto param = [&](std::string name, Shape shape) {
    return ParamSpec{.name = std::move(name), .shape = std::move(shape), .storage = storage};
  };
  ModelSpec model{{"a", {param("a.weight", {37, 11}), param("a.bias", {37})}},
                  {"b", {param("b.weight", {64, 50}), param("b.frozen", {13, 7}), param("b.norm", {50})}},
                  {"c", {param("c.weight", {129, 3})}}};
  model[1].params[1].trainable = false;
  model[1].params[2].init = InitKind::ones;
  model[1].params[2].decay = false;
  return model;
}

std::string name_of_layout(const Layout& layout) {
  return fmt::format("stage {} replica {} shard {}{}", layout.stage, layout.shape.replica, layout.shape.shard,
                     layout.reduction == GradientReduction::once_a_step ? " reduced once" : "") +
         (layout.offload.tier == Tier::host ? " offloaded" : "");
}

StoreSettings settings_of(const Layout& layout) {
  return {.rule = layout.rule,
          .weight_decay = 0.1f,
          .persistence_threshold = 100,
          .stage = layout.stage,
          .reduction = layout.reduction,
          .offload = layout.offload};
}

std::unique_ptr<Ops> reference_ops(Device&) { return test::make_reference_ops(); }

Tensors trained_values(const Layout& layout, DType storage, double* norm, std::unique_ptr<Ops> (*make_ops)(Device&)) {
  std::vector<Tensors> by_rank(static_cast<std::size_t>(layout.shape.ranks()));
  std::vector<double> norms(by_rank.size());
  test::on_ranks_with(layout.shape, make_ops, [&](RankParts& rank) {
    ParameterStore store(toy_model(storage), settings_of(layout), rank.mesh, rank.execution);
    store.initialize(42);
    const auto index = static_cast<std::size_t>(rank.mesh.rank());
    train(store, rank, &norms[index]);
    read_values(store, *rank.ops, *rank.compute, by_rank[index]);
  });
  for (std::size_t rank = 1; rank < by_rank.size(); ++rank) {
    EXPECT_EQ(by_rank[rank], by_rank[0]) << name_of_layout(layout) << " rank " << rank;
    EXPECT_EQ(norms[rank], norms[0]) << name_of_layout(layout);
  }
  if (norm != nullptr) *norm = norms[0];
  return by_rank[0];
}

std::vector<Layout> all_layouts() {
  std::vector<Layout> layouts;
  for (int stage = 0; stage <= 3; ++stage)
    for (int ranks = 1; ranks <= 4; ++ranks)
      for (int shard = 1; shard <= ranks; ++shard)
        for (const GradientReduction reduction : {GradientReduction::each_micro_batch, GradientReduction::once_a_step})
          if (ranks % shard == 0) layouts.push_back({{.replica = ranks / shard, .shard = shard}, stage, reduction});
  return layouts;
}

void one_step(ParameterStore& store, int micro_batches) {
  const std::size_t units = store.model().size();
  store.zero_gradients();
  for (int micro = 0; micro < micro_batches; ++micro) {
    for (std::size_t unit = 0; unit < units; ++unit) {
      const UnitLease values = store.acquire(unit);
      store.prefetch(std::min(unit + 1, units - 1));
    }
    for (std::size_t unit = units; unit-- > 0;) {
      const UnitLease values = store.acquire(unit);
      UnitLease gradient = store.gradient(unit);
      store.reduce(std::move(gradient), micro + 1 == micro_batches ? GradientState::complete : GradientState::partial);
    }
  }
  store.finish_gradients();
  store.update({.learning_rate = 0.1, .gradient_scale = 1.0, .step = 1});
}

Layout offloaded(Layout layout) {
  layout.offload = {.tier = Tier::host, .pin_memory = layout.stage % 2 == 0, .chunk_elements = 192};
  return layout;
}

}  // namespace ferula
