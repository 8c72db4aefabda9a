// The store alone, with made-up gradients: every layout against one rank, memory, traffic and ownership.
#include "params/parameter_store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>

#include "comm/simulated_transport.hpp"
#include "store_fixture.hpp"
#include "support/message_of.hpp"

namespace ferula {
namespace {

using test::on_ranks;
using test::RankParts;

std::span<float> elements_of(const TensorView& tensor) { return tensor.range(0, tensor.count()).span<float>(); }

class StoreOfStorage : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Storage, StoreOfStorage, testing::Values(DType::f32, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(StoreOfStorage, EveryLayoutGivesTheBitsOfOneRank) {
  double expected_norm = 0.0;
  const Tensors expected = trained_values({}, GetParam(), &expected_norm);

  for (const Layout& layout : all_layouts()) {
    double norm = 0.0;
    EXPECT_EQ(trained_values(layout, GetParam(), &norm), expected) << name_of_layout(layout);
    EXPECT_NEAR(norm, expected_norm, 1e-12 * expected_norm) << name_of_layout(layout);
  }
  EXPECT_GT(expected_norm, 0.0);
}

TEST_P(StoreOfStorage, EachElementOfEachRoleHasOneOwner) {
  for (const Layout& layout : all_layouts()) {
    std::mutex mutex;
    std::map<std::pair<std::string, std::string>, std::vector<int>> owners;
    on_ranks(layout.shape, [&](RankParts& rank) {
      ParameterStore store(toy_model(GetParam()), settings_of(layout), rank.mesh, rank.execution);
      const std::lock_guard lock(mutex);
      for (const OwnedPiece& piece : store.owned_pieces()) {
        std::vector<int>& count = owners[{piece.role, piece.tensor}];
        count.resize(static_cast<std::size_t>(std::accumulate(piece.global_shape.begin(), piece.global_shape.end(),
                                                              std::int64_t{1}, std::multiplies<>())));
        for (std::int64_t element = 0; element < piece.data.count(); ++element)
          ++count.at(static_cast<std::size_t>(piece.offset + element));
      }
    });

    const std::size_t expected_roles = GetParam() == DType::f32 ? 5 * 3 + 1 : 5 * 4 + 1;
    EXPECT_EQ(owners.size(), expected_roles) << name_of_layout(layout);
    for (const auto& [key, count] : owners)
      EXPECT_TRUE(std::all_of(count.begin(), count.end(), [](int n) { return n == 1; }))
          << name_of_layout(layout) << ' ' << key.first << ' ' << key.second;
  }
}

/// interface.md: value 2, gradient 4, master 4, moments 8 bytes in mixed precision; 4 + 4 + 8 in f32.
struct ExpectedBytes {
  double parameters, gradients, optimizer;
};
ExpectedBytes expected_bytes(const Layout& layout, double count, DType storage) {
  const int stage = layout.stage;
  const double part = count / layout.shape.shard;
  const bool cuts_gradient = stage >= 2 && layout.reduction == GradientReduction::each_micro_batch;
  const double value = storage == DType::f32 ? 4.0 : 2.0;
  const double state = storage == DType::f32 ? 8.0 : 12.0;
  return {value * (stage >= 3 ? part : count), 4.0 * (cuts_gradient ? part : count),
          state * (stage >= 1 ? part : count)};
}

TEST_P(StoreOfStorage, MemoryByKindFollowsTheFormulas) {
  const auto count = static_cast<double>(parameter_count(large_model(GetParam())));
  for (const Layout& layout : all_layouts()) {
    on_ranks(layout.shape, [&](RankParts& rank) {
      StoreSettings settings = settings_of(layout);
      settings.persistence_threshold = 0;
      const ParameterStore store(large_model(GetParam()), settings, rank.mesh, rank.execution);

      const ExpectedBytes expected = expected_bytes(layout, count, GetParam());
      const auto held = [&](MemoryKind kind) { return static_cast<double>(rank.ledger.current_bytes(kind)); };
      EXPECT_NEAR(held(MemoryKind::parameters) / expected.parameters, 1.0, 0.01) << name_of_layout(layout);
      EXPECT_NEAR(held(MemoryKind::gradients) / expected.gradients, 1.0, 0.01) << name_of_layout(layout);
      EXPECT_NEAR(held(MemoryKind::optimizer) / expected.optimizer, 1.0, 0.01) << name_of_layout(layout);
    });
  }
}

TEST_P(StoreOfStorage, PlannedBytesAreTheAllocatedOnes) {
  std::vector<Layout> layouts = all_layouts();
  for (std::size_t index = 0; index < layouts.size(); index += 2) layouts[index] = offloaded(layouts[index]);
  for (const Layout& layout : layouts) {
    on_ranks(layout.shape, [&](RankParts& rank) {
      const StoreSettings settings = settings_of(layout);
      const StoreBytes planned = store_bytes(lay_out_ranges(toy_model(GetParam()), settings, rank.mesh), settings);

      const ParameterStore store(toy_model(GetParam()), settings, rank.mesh, rank.execution);

      using enum MemoryKind;
      EXPECT_EQ(rank.ledger.current_bytes(parameters), planned.parameters) << name_of_layout(layout);
      EXPECT_EQ(rank.ledger.current_bytes(gradients), planned.gradients) << name_of_layout(layout);
      EXPECT_EQ(rank.ledger.current_bytes(optimizer), planned.optimizer) << name_of_layout(layout);
      EXPECT_NEAR(static_cast<double>(rank.ledger.current_bytes(buffers)), static_cast<double>(planned.buffers), 1024);
      EXPECT_EQ(store.host_ledger().current_bytes(), planned.host()) << name_of_layout(layout);
    });
  }
}

TEST_P(StoreOfStorage, TrafficIsThatOfTheZeroPapers) {
  const auto count = static_cast<double>(parameter_count(large_model(GetParam())));
  for (int stage = 0; stage <= 3; ++stage) {
    for (const int micro_batches : {1, 3}) {
      on_ranks({.replica = 1, .shard = 3}, [&](RankParts& rank) {
        StoreSettings settings = settings_of({.stage = stage});
        settings.persistence_threshold = 0;
        ParameterStore store(large_model(GetParam()), settings, rank.mesh, rank.execution);

        one_step(store, micro_batches);

        const std::map<int, double> expected{{0, 2.0}, {1, 2.0}, {2, micro_batches + 1.0}, {3, 3.0 * micro_batches}};
        EXPECT_NEAR(static_cast<double>(rank.mesh.traffic().total().elements) / count, expected.at(stage),
                    0.01 * expected.at(stage))
            << "stage " << stage << " micro batches " << micro_batches;
      });
    }
  }
}

TEST_P(StoreOfStorage, ReducingOnceSendsAccumulatedGradientsOnce) {
  const auto count = static_cast<double>(parameter_count(large_model(GetParam())));
  const int micro_batches = 3;
  for (const auto& [stage, expected] :
       std::map<int, double>{{0, 2.0}, {1, 2.0}, {2, 2.0}, {3, 2.0 * micro_batches + 1}})
    on_ranks({.replica = 1, .shard = 3}, [&](RankParts& rank) {
      StoreSettings settings = settings_of({.stage = stage, .reduction = GradientReduction::once_a_step});
      settings.persistence_threshold = 0;
      ParameterStore store(large_model(GetParam()), settings, rank.mesh, rank.execution);

      one_step(store, micro_batches);

      EXPECT_NEAR(static_cast<double>(rank.mesh.traffic().total().elements) / count, expected, 0.01 * expected)
          << "stage " << stage;
    });
}

TEST(ParameterStore, SumsACompleteGradientAtOnceAndOnlyOnce) {
  on_ranks({.replica = 1, .shard = 2}, [](RankParts& rank) {
    for (const int stage : {0, 1, 2, 3}) {
      ParameterStore store(large_model(DType::f32), {.stage = stage}, rank.mesh, rank.execution);
      store.zero_gradients();
      const std::int64_t before = rank.mesh.traffic().total().elements;
      for (std::size_t unit = store.model().size(); unit-- > 0;)
        store.reduce(store.gradient(unit), GradientState::complete);
      const std::int64_t complete = rank.mesh.traffic().total().elements;

      store.finish_gradients();

      EXPECT_GT(complete, before) << "stage " << stage;
      EXPECT_EQ(rank.mesh.traffic().total().elements, complete) << "stage " << stage;
    }
  });
}

TEST(ParameterStore, AGradientIsZeroUntilSomethingIsAddedWhateverLiesThere) {
  for (const int stage : {0, 1, 2, 3}) {
    on_ranks({.replica = 1, .shard = 2}, [&](RankParts& rank) {
      ParameterStore store(toy_model(DType::f32), settings_of({.stage = stage}), rank.mesh, rank.execution);
      for (int step = 0; step < 2; ++step) {
        store.zero_gradients();
        {
          UnitLease gradient = store.gradient(0);
          const GradientTarget first = gradient.target(0, 1);
          EXPECT_EQ(first.accumulate, Accumulate::overwrite) << "stage " << stage;
          rank.ops->fill(*rank.compute, first.sum, 3.0f);  // what the next step finds there
          EXPECT_EQ(gradient.target(0, 1).accumulate, Accumulate::add) << "stage " << stage;
          for (const float value : elements_of(gradient.tensor(0))) ASSERT_EQ(value, 3.0f);
          store.reduce(std::move(gradient), GradientState::partial);
        }
        store.finish_gradients();
        const double elements = static_cast<double>(store.model()[0].params[0].count());
        EXPECT_DOUBLE_EQ(store.gradient_norm(), 6.0 * std::sqrt(elements)) << "stage " << stage;  // of both ranks
      }

      store.zero_gradients();
      for (const float value : elements_of(store.gradient(0).tensor(0))) ASSERT_EQ(value, 0.0f);
      store.finish_gradients();
      EXPECT_EQ(store.gradient_norm(), 0.0) << "stage " << stage;
    });
  }
}

TEST(ParameterStore, AProductAddsWhereAnEarlierMicroBatchHasLeftAGradient) {
  on_ranks({}, [](RankParts& rank) {
    ParameterStore store(toy_model(DType::f32), {}, rank.mesh, rank.execution);
    store.zero_gradients();
    EXPECT_EQ(store.gradient(1).target(0, 1).accumulate, Accumulate::overwrite);
    EXPECT_EQ(store.gradient(1).target(0, 1).accumulate, Accumulate::add);
    EXPECT_EQ(store.acquire(1).target(0, 1).accumulate, Accumulate::add) << "values are no gradient";
  });
}

TEST_P(StoreOfStorage, ValuesInCommonMemoryTakeAShareAndNoSlots) {
  const ModelSpec model = large_model(GetParam());
  constexpr int kRanks = 3;
  const auto as_rank = [&](std::unique_ptr<Mesh::Transport> transport) {
    RankParts rank(std::move(transport), {.shard = kRanks}, reference_ops);
    StoreSettings settings = settings_of({.stage = 3});
    settings.persistence_threshold = 0;
    settings.trains = false;
    ParameterStore store(model, settings, rank.mesh, rank.execution);
    store.initialize(1);
    {
      const UnitLease first = store.acquire(0), second = store.acquire(1), third = store.acquire(2);
      EXPECT_NE(third.tensor(0).data, nullptr) << "as many units at once as one likes";
    }
    barrier(rank.mesh.world(), *rank.compute);

    const double share = static_cast<double>(parameter_count(model) * bytes_of(GetParam())) / kRanks;
    EXPECT_NEAR(static_cast<double>(rank.ledger.current_bytes(MemoryKind::parameters)), share, 0.01 * share);
    EXPECT_LT(rank.ledger.peak_bytes(MemoryKind::buffers), 1024);
  };
  run_simulated_ranks(kRanks, as_rank, CommonMemory::of_groups);
}

TEST_P(StoreOfStorage, PeakIsTheShareAndTheTwoLargestUnits) {
  const ModelSpec model = large_model(GetParam());
  const std::int64_t value_bytes = bytes_of(GetParam());
  on_ranks({.replica = 1, .shard = 4}, [&](RankParts& rank) {
    StoreSettings settings = settings_of({.stage = 3});
    settings.persistence_threshold = 0;
    ParameterStore store(model, settings, rank.mesh, rank.execution);
    store.initialize(1);
    one_step(store, 2);

    using enum MemoryKind;
    const std::int64_t share = rank.ledger.current_bytes(parameters) + rank.ledger.current_bytes(gradients) +
                               rank.ledger.current_bytes(optimizer);
    const std::int64_t two_units = 2 * (model[0].count() + 4 * kRangeAlignment) * (value_bytes + 4);
    EXPECT_LE(rank.ledger.peak_bytes(), share + two_units + 1024);
  });
}

TEST(ParameterStore, FrozenTensorsCostNeitherGradientNorState) {
  on_ranks({}, [](RankParts& rank) {
    ModelSpec model = large_model(DType::bf16);
    for (UnitSpec& unit : model)
      for (ParamSpec& param : unit.params) param.trainable = false;
    ParameterStore store(model, {.stage = 0}, rank.mesh, rank.execution);

    EXPECT_EQ(rank.ledger.current_bytes(MemoryKind::gradients), 0);
    EXPECT_EQ(rank.ledger.current_bytes(MemoryKind::optimizer), 0);
    EXPECT_EQ(store.gradient(0).tensor(0).data, nullptr);
  });
}

TEST(ParameterStore, PersistentTensorsAreNotGathered) {
  on_ranks({.replica = 1, .shard = 2}, [](RankParts& rank) {
    StoreSettings settings{.persistence_threshold = 1'000'000'000, .stage = 3};
    ParameterStore store(large_model(DType::f32), settings, rank.mesh, rank.execution);
    store.initialize(3);
    const std::int64_t before = rank.mesh.traffic().of(Collective::all_gather).elements;

    for (std::size_t unit = 0; unit < store.model().size(); ++unit) store.acquire(unit);

    EXPECT_EQ(rank.mesh.traffic().of(Collective::all_gather).elements, before);
  });
}

TEST(ParameterStore, NothingAllocatesInAStep) {
  on_ranks({.replica = 1, .shard = 2}, [](RankParts& rank) {
    ParameterStore store(large_model(DType::bf16), {.stage = 3}, rank.mesh, rank.execution);
    store.initialize(3);
    one_step(store, 2);
    const std::int64_t before = rank.ledger.allocations();

    one_step(store, 2);

    EXPECT_EQ(rank.ledger.allocations(), before);
  });
}

TEST(ParameterStore, JoinedTensorsAreOneMatrix) {
  on_ranks({.replica = 1, .shard = 2}, [](RankParts& rank) {
    ModelSpec model{{"u",
                     {{.name = "q", .shape = {6, 5}},
                      {.name = "k", .shape = {4, 5}, .placing = Placing::joined_to_previous},
                      {.name = "v", .shape = {4, 5}, .placing = Placing::joined_to_previous}}}};
    ParameterStore store(model, {.stage = 3}, rank.mesh, rank.execution);
    store.initialize(9);

    const UnitLease lease = store.acquire(0);

    EXPECT_EQ(lease.joined(0, 3).dim(0), 14);
    EXPECT_EQ(lease.weight(1, 2).values.dim(0), 8);
    EXPECT_EQ(lease.joined(0, 3).as<float>()[6 * 5], lease.tensor(1).as<float>()[0]);
  });
}

TEST(ParameterStore, RefusesAThirdUnitAtATime) {
  on_ranks({.replica = 1, .shard = 2}, [](RankParts& rank) {
    ParameterStore store(large_model(DType::f32), {.persistence_threshold = 0, .stage = 3}, rank.mesh, rank.execution);
    store.initialize(9);
    const UnitLease first = store.acquire(0);
    const UnitLease second = store.acquire(1);

    EXPECT_THROW(store.acquire(2), Error);
    EXPECT_THROW(store.acquire(0), Error);
  });
}

/// A stream that may fail behind its caller's back, as a GPU's does when a peer is lost.
class FailingStream final : public Stream {
 public:
  FailingStream() : Stream(Tasks::at_once) {}
  void fail() { failed_ = true; }
  Event record() override {
    if (failed_) throw CommError("the peer is lost");
    return {};
  }
  void wait(Event event) override {
    if (event.stream != nullptr) event.stream->synchronize(event.ticket);
  }
  void synchronize() override { record(); }
  void synchronize(std::uint64_t) override { record(); }

 protected:
  void accept(std::function<void()> task) override { task(); }

 private:
  bool failed_ = false;
};

TEST(ParameterStore, LeasesEndWhereTheStreamHasFailedAndItsErrorIsThrownOnce) {
  on_ranks({.replica = 1, .shard = 2}, [](RankParts& rank) {
    FailingStream compute;
    Execution execution{*rank.device, *rank.ops, compute, *rank.communication, rank.phases};
    ParameterStore store(large_model(DType::f32), {.persistence_threshold = 0, .stage = 3}, rank.mesh, execution);
    store.initialize(9);
    const auto pass = [&] {
      const UnitLease values = store.acquire(0);
      const UnitLease gradient = store.gradient(1);
      compute.fail();
      compute.synchronize();
    };

    EXPECT_EQ(test::message_of<CommError>(pass), "the peer is lost");
  });
}

}  // namespace
}  // namespace ferula
