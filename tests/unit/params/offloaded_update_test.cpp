// The store with the optimizer's state on the host against the store with all of it on the device.
#include "params/offloaded_update.hpp"

#include <gtest/gtest.h>

#include "store_fixture.hpp"

namespace ferula {
namespace {

using test::on_ranks;
using test::RankParts;

class OffloadOfStorage : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Storage, OffloadOfStorage, testing::Values(DType::f32, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(OffloadOfStorage, GivesTheBitsOfStateOnTheDevice) {
  const OptimizerRule rules[] = {{.beta2 = 0.95},
                                 {.kind = OptimizerKind::sgd, .momentum = 0.9},
                                 {.kind = OptimizerKind::sgd},
                                 {.kind = OptimizerKind::lion}};
  for (const OptimizerRule& rule : rules) {
    const Tensors expected = trained_values({.rule = rule}, GetParam(), nullptr, make_cpu_ops);
    for (Layout layout : all_layouts()) {
      layout.rule = rule;
      EXPECT_EQ(trained_values(offloaded(layout), GetParam(), nullptr, make_cpu_ops), expected)
          << name_of_layout(layout);
    }
  }
}

TEST_P(OffloadOfStorage, KeepsTheStateOnTheHostAlone) {
  on_ranks({.shard = 2}, [&](RankParts& rank) {
    const Layout layout{.shape = {.shard = 2}, .stage = 1};
    ParameterStore with(large_model(GetParam()), settings_of(offloaded(layout)), rank.mesh, rank.execution);
    const std::int64_t on_device = rank.ledger.current_bytes(MemoryKind::optimizer);
    const ParameterStore without(large_model(GetParam()), settings_of(layout), rank.mesh, rank.execution);

    EXPECT_EQ(on_device, 0);
    EXPECT_EQ(with.host_ledger().current_bytes(MemoryKind::optimizer),
              rank.ledger.current_bytes(MemoryKind::optimizer));
    EXPECT_EQ(without.host_ledger().peak_bytes(), 0);
    const std::int64_t allocations = rank.ledger.allocations() + with.host_ledger().allocations();
    for (int step = 1; step <= 3; ++step) {
      one_step(with, 1);
      with.update({.learning_rate = 0.01, .step = step});
    }
    EXPECT_EQ(rank.ledger.allocations() + with.host_ledger().allocations(), allocations) << "nothing in a step";
  });
}

}  // namespace
}  // namespace ferula
