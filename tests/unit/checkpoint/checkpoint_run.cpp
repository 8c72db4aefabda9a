// Saving and loading the fake state on simulated ranks.
#include "checkpoint_run.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "checkpoint/names.hpp"
#include "comm/simulated_transport.hpp"

namespace ferula {

void run_fake_ranks(int ranks, const std::function<void(FakeRank&)>& body) {
  run_simulated_ranks(ranks, [&](std::unique_ptr<Mesh::Transport> transport) {
    MemoryLedger ledger;
    const std::unique_ptr<Device> device = make_cpu_device(ledger);
    const std::unique_ptr<Stream> stream = device->make_stream();
    MeshGroup everybody{.axis = "world", .members = std::vector<int>(static_cast<std::size_t>(ranks))};
    std::iota(everybody.members.begin(), everybody.members.end(), 0);
    const std::unique_ptr<Communicator> world = transport->make(everybody, *device);
    FakeRank rank{.rank = transport->rank(), .ledger = ledger, .device = *device, .world = *world, .stream = *stream};
    body(rank);
  });
}

std::string CheckpointRun::checkpoint(std::int64_t step) const { return join_path(folder(), step_name(step)); }

SaveRequest CheckpointRun::request(std::int64_t step) {
  return {.state = {.step = step,
                    .samples_seen = 24 * step,
                    .tokens_seen = 3072 * step,
                    .sampler_position = 24 * step,
                    .seed = -7,
                    .layout = {.ranks = 3, .stage = 2, .shard = 3},
                    .counters = {{"skipped_steps", 1}},
                    .notes = {{"why", "a \"test\"\n"}}},
          .config_text = "[run]\nname = \"test\"\n",
          .tied = {{.alias = "head.weight", .tensor = "embedding.weight"}}};
}

SaveResult CheckpointRun::save(const Cut& cut, std::int64_t step, Retention retention, FileSystemOf files) {
  std::vector<SaveResult> results(cut.size());
  run_fake_ranks(static_cast<int>(cut.size()), [&](FakeRank& rank) {
    FakeState state(cut, rank.rank);
    state.fill(step);
    CheckpointWriter writer(folder(), retention, files ? files(rank.rank) : files_, rank.world, rank.device,
                            rank.stream);
    results[static_cast<std::size_t>(rank.rank)] = writer.save(state.pieces(), request(step));
    EXPECT_EQ(rank.ledger.current_bytes(), 0);
  });
  for (const SaveResult& result : results) {
    EXPECT_EQ(result.committed, results.front().committed);
    EXPECT_EQ(result.problem, results.front().problem);
  }
  return results.front();
}

std::optional<LoadedCheckpoint> CheckpointRun::load_newest(const Cut& cut) {
  std::vector<std::optional<LoadedCheckpoint>> loaded(cut.size());
  run_fake_ranks(static_cast<int>(cut.size()), [&](FakeRank& rank) {
    FakeState state(cut, rank.rank);
    const LoadContext context{.files = files_, .world = rank.world, .device = rank.device, .stream = rank.stream};
    auto& mine = loaded[static_cast<std::size_t>(rank.rank)];
    mine = ferula::load_newest(context, folder(), state.pieces(), ReadScope::everything);
    if (mine) EXPECT_EQ(state.differences(mine->state.step), 0) << "on rank " << rank.rank;
  });
  return loaded.front();
}

}  // namespace ferula
