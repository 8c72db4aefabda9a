// What one layout saves, any other loads bit for bit, and plain HDF5 readers see whole tensors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "checkpoint_run.hpp"
#include "storage/hdf5_file.hpp"

namespace ferula {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

/// Even and uneven cuts, in the middle of rows, and ranks that hold nothing.
const std::vector<Cut>& cuts() {
  static const std::vector<Cut> all{{1}, {1, 1}, {0, 1}, {5, 1, 2}, {1, 1, 1, 1}, {0, 3, 0, 0.001}};
  return all;
}

TEST(RoundTrip, EveryLayoutLoadsWhatEveryLayoutSaved) {
  for (const Cut& writers : cuts()) {
    CheckpointRun run;
    const SaveResult saved = run.save(writers, 12);
    ASSERT_TRUE(saved.committed) << saved.problem;
    EXPECT_EQ(saved.problem, "");
    for (const Cut& readers : cuts()) {
      const auto loaded = run.load_newest(readers);
      ASSERT_TRUE(loaded);
      EXPECT_EQ(loaded->checkpoint, run.checkpoint(12));
      EXPECT_EQ(loaded->state, CheckpointRun::request(12).state);
      EXPECT_TRUE(loaded->warnings.empty());
    }
  }
}

TEST(RoundTrip, LeavesOnlyTheCheckpointAndLatest) {
  CheckpointRun run;
  run.save({1, 1}, 7);

  EXPECT_THAT(run.names(), ElementsAre("latest", "step-00000007"));
  EXPECT_EQ(read_file(run.files(), join_path(run.folder(), "latest"), 100), "step-00000007\n");
  EXPECT_THAT(run.files().list(run.checkpoint(7)),
              ElementsAre("MANIFEST.json", "config.toml", "index.h5", "shard-00000.h5", "shard-00000.json",
                          "shard-00001.h5", "shard-00001.json"));
}

TEST(RoundTrip, ReadsLittleMoreThanNeeded) {
  CheckpointRun run;
  run.save({1, 1, 1}, 1);
  run_fake_ranks(4, [&](FakeRank& rank) {
    FakeState state({1, 1, 1, 1}, rank.rank);
    CheckpointReader reader(run.files(), rank.device, run.checkpoint(1));
    reader.read(state.pieces(), ReadScope::everything);
    const ReadStatistics& read = reader.statistics();
    // Each of the three roles is one contiguous stretch of at most two shards: two block rests for each.
    EXPECT_LE(read.data_bytes, read.needed_bytes * 105 / 100 + 3 * 2 * 2 * kHashBlockBytes);
    EXPECT_EQ(rank.ledger.peak_bytes(MemoryKind::buffers), 4 * kHashBlockBytes);
    EXPECT_EQ(rank.ledger.peak_bytes(), 4 * kHashBlockBytes);
  });
}

TEST(RoundTrip, ReadsEachByteOnceOnTheSameLayout) {
  CheckpointRun run;
  run.save({1}, 1);
  run_fake_ranks(1, [&](FakeRank& rank) {
    FakeState state({1}, 0);
    CheckpointReader reader(run.files(), rank.device, run.checkpoint(1));
    reader.read(state.pieces(), ReadScope::everything);
    const auto file_bytes =
        static_cast<std::int64_t>(std::filesystem::file_size(run.checkpoint(1) + "/shard-00000.h5"));
    EXPECT_LE(reader.statistics().data_bytes, file_bytes);
  });
}

TEST(RoundTrip, ValuesOnlyLeavesOtherRolesAlone) {
  CheckpointRun run;
  run.save({1, 2}, 3);
  run_fake_ranks(1, [&](FakeRank& rank) {
    FakeState state({1}, 0);
    FakeState expected({1}, 0);
    expected.fill(3);
    CheckpointReader(run.files(), rank.device, run.checkpoint(3)).read(state.pieces(), ReadScope::values_only);
    for (std::size_t index = 0; index < state.pieces().size(); ++index) {
      const TensorView found = state.pieces()[index].data;
      const TensorView wanted = expected.pieces()[index].data;
      const bool same = std::equal(found.data, found.data + found.bytes(), wanted.data);
      EXPECT_EQ(same, state.pieces()[index].role == "value") << state.pieces()[index].tensor;
    }
  });
}

TEST(RoundTrip, TiedTensorIsReadByItsAlias) {
  CheckpointRun run;
  run.save({1, 2}, 3);
  run_fake_ranks(1, [&](FakeRank& rank) {
    FakeState state({1}, 0);
    OwnedPiece head = state.pieces().front();
    ASSERT_EQ(head.tensor, "embedding.weight");
    head.tensor = "head.weight";
    CheckpointReader(run.files(), rank.device, run.checkpoint(3)).read(std::span(&head, 1), ReadScope::everything);
    FakeState expected({1}, 0);
    expected.fill(3);
    EXPECT_TRUE(std::equal(head.data.data, head.data.data + head.data.bytes(), expected.pieces().front().data.data));
  });
}

TEST(RoundTrip, IndexPresentsWholeTensors) {
  CheckpointRun run;
  run.save({5, 1, 2}, 9);
  FakeState expected({1}, 0);
  expected.fill(9);
  const Hdf5File index = Hdf5File::open(run.checkpoint(9) + "/index.h5");

  for (const OwnedPiece& piece : expected.pieces()) {
    std::string name = "/" + piece.role + "/" + piece.tensor;
    std::replace(name.begin(), name.end(), '.', '/');
    const Hdf5Dataset dataset = index.dataset(name);
    EXPECT_EQ(dataset.shape(), piece.global_shape);
    std::vector<std::byte> bytes(static_cast<std::size_t>(piece.data.bytes()));
    dataset.read(0, {bytes.data(), piece.data.dtype, {piece.data.count()}});
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), piece.data.data)) << name;
  }
  EXPECT_EQ(index.integer_attribute("/", "step"), 9);
  EXPECT_EQ(index.text_attribute("/value/head/weight", "aliases"), "head.weight");
}

TEST(RoundTrip, PlainH5pyReadsBf16AsFloat32) {
  if (std::system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0) GTEST_SKIP() << "python3-h5py is missing";
  CheckpointRun run;
  run.save({5, 1, 2}, 9);
  FakeState state({1}, 0);
  state.fill(9);
  const TensorView embedding = state.pieces().front().data;
  const std::string raw = run.checkpoint(9) + ".raw";
  std::ofstream(raw, std::ios::binary).write(reinterpret_cast<const char*>(embedding.data), embedding.bytes());

  const std::string script = fmt::format(
      "import h5py, numpy as np\n"
      "f = h5py.File('{}/index.h5', 'r')\n"
      "bits = np.fromfile('{}', dtype='<u2').astype('<u4') << 16\n"
      "want = bits.view('<f4').reshape(301, 707)\n"
      "got = f['value/embedding/weight'][...]\n"
      "assert got.dtype == np.float32 and np.array_equal(got, want, equal_nan=True)\n"
      "assert np.array_equal(f['value/head/weight'][3:5], want[3:5], equal_nan=True)\n"
      "assert f['master/blocks/0/query/weight'].shape == (64, 129)\n",
      run.checkpoint(9), raw);
  std::ofstream(raw + ".py") << script;

  EXPECT_EQ(std::system(("/usr/bin/python3 " + raw + ".py").c_str()), 0);
}

TEST(RoundTrip, LeaksNoFiles) {
  const auto open_files = [] {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return std::distance(begin(entries), end(entries));
  };
  CheckpointRun run;
  run.save({1, 1}, 1);
  run.load_newest({1, 1, 1});
  const auto before = open_files();

  for (std::int64_t step = 2; step < 6; ++step) run.save({1, 1}, step, {.keep_last = 2});
  run.load_newest({1, 1, 1});

  EXPECT_EQ(open_files(), before);
  EXPECT_THAT(run.names(), ElementsAre("latest", "step-00000004", "step-00000005"));
}

}  // namespace
}  // namespace ferula
