// Stores with made-up gradients, which the tests of the store share.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "params/parameter_store.hpp"
#include "support/rank_parts.hpp"

namespace ferula {

/// Three units of odd sizes; "b.frozen" is not trained.
ModelSpec toy_model(DType storage);
/// Large enough for paddings not to matter at one percent.
ModelSpec large_model(DType storage);

struct Layout {
  MeshShape shape;
  int stage = 0;
  GradientReduction reduction = GradientReduction::each_micro_batch;
  OptimizerOffload offload{};
  OptimizerRule rule{.beta2 = 0.95};
};

std::string name_of_layout(const Layout& layout);
StoreSettings settings_of(const Layout& layout);
/// Every stage on one to four ranks, cut into every size of shards.
std::vector<Layout> all_layouts();
/// The layout with the optimizer's state on the host, in chunks that cut through tensors.
Layout offloaded(Layout layout);

using Tensors = std::map<std::string, std::vector<float>>;

std::unique_ptr<Ops> reference_ops(Device&);
/// Values after two steps, asserted equal on all ranks, and the last gradient norm.
Tensors trained_values(const Layout& layout, DType storage, double* norm = nullptr,
                       std::unique_ptr<Ops> (*make_ops)(Device&) = reference_ops);

/// One step as a model does it: values forward and backward, a gradient for each unit.
void one_step(ParameterStore& store, int micro_batches);

}  // namespace ferula
