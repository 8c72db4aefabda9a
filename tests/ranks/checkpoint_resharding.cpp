// Processes of an MPI job: what a parameter store saves at one ZeRO stage, every other stage and a lone rank load bit
// for bit.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/philox.hpp"
#include "checkpoint/checkpoint_writer.hpp"
#include "checkpoint/resume.hpp"
#include "comm/mpi_transport.hpp"
#include "comm/simulated_transport.hpp"
#include "support/ranks/job.hpp"
#include "support/reference_ops.hpp"

namespace ferula {
namespace {

ModelSpec odd_model() {
  const auto tensor = [](std::string name, Shape shape) {
    return ParamSpec{.name = std::move(name), .shape = std::move(shape), .storage = DType::bf16};
  };
  return {
      {.name = "embedding", .params = {tensor("embedding.weight", {97, 33})}},
      {.name = "blocks.0", .params = {tensor("blocks.0.norm.weight", {33}), tensor("blocks.0.up.weight", {65, 33})}},
      {.name = "head", .params = {tensor("head.bias", {7})}}};
}

/// A rank with a store of the odd model; nothing is persistent but what is smaller than `persistent` elements.
struct Rank {
  Rank(std::unique_ptr<Mesh::Transport> transport, MeshShape shape, int stage)
      : mesh(std::move(transport), shape, *device),
        store(odd_model(), {.rule = {}, .persistence_threshold = 40, .stage = stage}, mesh, execution) {}

  MemoryLedger ledger;
  std::unique_ptr<Device> device = make_cpu_device(ledger);
  std::unique_ptr<Stream> stream = device->make_stream();
  std::unique_ptr<Ops> ops = test::make_reference_ops();
  PhaseTimes phases;
  Execution execution{*device, *ops, *stream, *stream, phases};
  Mesh mesh;
  ParameterStore store;
};

/// The bytes that element `offset`… of a tensor should have.
std::vector<std::byte> expected_bytes(const OwnedPiece& piece) {
  const std::uint64_t key = random_key(17, piece.role + piece.tensor);
  const auto width = static_cast<std::size_t>(bytes_of(piece.data.dtype));
  std::vector<std::byte> bytes(static_cast<std::size_t>(piece.data.bytes()));
  for (std::int64_t index = 0; index < piece.data.count(); ++index) {
    const PhiloxBlock random = philox(key, 0, static_cast<std::uint64_t>(piece.offset + index));
    std::memcpy(bytes.data() + static_cast<std::size_t>(index) * width, random.data(), width);
  }
  return bytes;
}

/// One folder of checkpoints for all ranks of the job, new for each test.
class Resharding : public testing::Test {
 protected:
  Resharding() {
    Rank rank = make_rank(0, {.shard = test::job().size()});
    const double id = agree_max(rank.mesh.world(), *rank.stream, rank.mesh.rank() == 0 ? ::getpid() : 0);
    folder_ =
        (std::filesystem::temp_directory_path() / fmt::format("ferula-resharding-{}", id) / "checkpoints").string();
  }

  ~Resharding() override {
    Rank rank = make_rank(0, {.shard = test::job().size()});
    barrier(rank.mesh.world(), *rank.stream);
    if (rank.mesh.rank() == 0) files_->remove(parent_of(folder_));
    barrier(rank.mesh.world(), *rank.stream);
  }

  static Rank make_rank(int stage, MeshShape shape) { return {make_mpi_transport(test::job()), shape, stage}; }

  void save(Rank& rank, std::int64_t step) {
    for (const OwnedPiece& piece : rank.store.owned_pieces()) {
      const std::vector<std::byte> bytes = expected_bytes(piece);
      std::copy(bytes.begin(), bytes.end(), piece.data.data);
    }
    CheckpointWriter writer(folder_, {}, *files_, rank.mesh.world(), *rank.device, *rank.stream);
    const SaveResult result = writer.save(rank.store.owned_pieces(), {.state = {.step = step}});
    EXPECT_TRUE(result.committed) << result.problem;
    EXPECT_EQ(result.problem, "");
  }

  void expect_loads(Rank& rank, std::int64_t step) {
    const std::vector<OwnedPiece> needed = rank.store.needed_pieces();
    for (const OwnedPiece& piece : needed)
      std::memset(piece.data.data, 0, static_cast<std::size_t>(piece.data.bytes()));
    const LoadContext context{
        .files = *files_, .world = rank.mesh.world(), .device = *rank.device, .stream = *rank.stream};
    const auto loaded = load_newest(context, folder_, needed, ReadScope::everything);
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->state.step, step);
    for (const OwnedPiece& piece : needed) {
      const std::vector<std::byte> expected = expected_bytes(piece);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), piece.data.data)) << piece.tensor << " " << piece.role;
    }
  }

  std::string folder_;
  std::unique_ptr<FileSystem> files_ = make_posix_file_system();
};

TEST_F(Resharding, EveryStageLoadsWhatEveryStageSaved) {
  const int ranks = test::job().size();
  std::vector<std::pair<int, MeshShape>> layouts;
  for (int stage = 0; stage <= 3; ++stage) layouts.push_back({stage, {.shard = ranks}});
  if (ranks % 2 == 0) layouts.push_back({3, {.replica = 2, .shard = ranks / 2}});
  std::int64_t step = 0;
  for (const auto& [writer_stage, writer_shape] : layouts) {
    Rank writer = make_rank(writer_stage, writer_shape);
    save(writer, ++step);
    for (const auto& [stage, shape] : layouts) {
      SCOPED_TRACE(fmt::format("saved at stage {}, loaded at stage {} on {} × {}", writer_stage, stage, shape.replica,
                               shape.shard));
      Rank reader = make_rank(stage, shape);
      expect_loads(reader, step);
    }
    Rank alone(make_self_transport(), {}, 0);
    expect_loads(alone, step);
  }
}

}  // namespace
}  // namespace ferula
