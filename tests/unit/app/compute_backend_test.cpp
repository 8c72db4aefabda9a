// Which ranks get which GPU, and what is said where there is none: with GPUs that are made up.
#include "app/compute_backend.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/gpu_library.hpp"
#include "app/launch/stop_signals.hpp"
#include "app/rank_context.hpp"
#include "comm/device_transport.hpp"
#include "comm/simulated_transport.hpp"
#include "support/far_device.hpp"
#include "support/far_ops.hpp"
#include "support/scratch_directory.hpp"

namespace ferula {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Throws;

template <class Kind>
auto throws_words(const std::vector<std::string>& words) {
  std::vector<testing::Matcher<std::string>> each;
  for (const std::string& word : words) each.push_back(HasSubstr(word));
  return Throws<Kind>(testing::Property(&Kind::what, testing::AllOfArray(each)));
}

GpuInfo gpu(int index, const std::string& uuid) {
  return {.index = index, .name = "Imaginary 9", .uuid = uuid, .memory_bytes = std::int64_t{24} << 30};
}

/// The lines that rank 0 sees; `uuids` by rank, an empty one for a rank without a GPU.
std::vector<std::string> lines_of(const std::vector<std::string>& uuids, GpuSharing sharing) {
  std::vector<std::string> lines;
  run_simulated_ranks(static_cast<int>(uuids.size()), [&](std::unique_ptr<Mesh::Transport> transport) {
    const int rank = transport->rank();
    const GpuInfo mine = gpu(rank, uuids[static_cast<std::size_t>(rank)]);
    std::vector<std::string> found = agree_on_gpus(*transport, mine.uuid.empty() ? nullptr : &mine, sharing);
    if (rank == 0) lines = std::move(found);
  });
  return lines;
}

TEST(GpusOfRanks, AreToldWithHostNumberMemoryAndUuid) {
  const std::vector<std::string> lines = lines_of({"GPU-a", "GPU-b"}, GpuSharing::refused);

  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[1], AllOf(HasSubstr("rank 1: "), HasSubstr("cuda:1"), HasSubstr("Imaginary 9"),
                              HasSubstr("24.0 GiB"), HasSubstr("GPU-b")));
  EXPECT_TRUE(lines_of({"", ""}, GpuSharing::refused).empty());
}

TEST(GpusOfRanks, AreNotSharedUnlessAllowed) {
  EXPECT_THAT(
      [] {
        lines_of({"GPU-a", "GPU-b", "GPU-a"}, GpuSharing::refused);
      },
      throws_words<ConfigError>({"ranks 0 and 2", "GPU-a", "share_gpu"}));
  EXPECT_EQ(lines_of({"GPU-a", "GPU-b", "GPU-a"}, GpuSharing::allowed).size(), 3u);
}

TEST(GpusOfRanks, AreThereForAllOrForNone) {
  EXPECT_THAT(
      [] {
        lines_of({"GPU-a", ""}, GpuSharing::allowed);
      },
      throws_words<DeviceError>({"rank 1", "without one", "rank 0"}));
}

TEST(GpuLibrary, SaysWhyItCannotBeOpened) {
  const ScratchDirectory scratch;
  const std::string text = scratch.write("libferula_cuda.so", "no library");

  EXPECT_THAT([&] { open_gpu_backend(text); },
              throws_words<DeviceError>({"cannot be loaded", text, "device = \"cpu\""}));
  EXPECT_THAT([] { open_gpu_backend("libm.so.6"); },
              throws_words<DeviceError>({"libm.so.6", "not a CUDA backend", "ferula_gpu_entry"}));
}

TEST(ComputeBackend, IsLookedForBesideTheProgramAndInLib) {
  const std::vector<std::string> paths = gpu_library_paths();

  ASSERT_EQ(paths.size(), 2u);
  EXPECT_THAT(paths[0], testing::EndsWith("/libferula_cuda.so"));
  EXPECT_THAT(paths[1], testing::EndsWith("/lib/libferula_cuda.so"));
}

/// This test's program lies in a folder without the library.
TEST(ComputeBackend, WithoutALibraryIsTheHostUnlessGpusAreDemanded) {
  EXPECT_EQ(choose_compute({.device = "auto"})->kind(), "cpu");
  EXPECT_EQ(choose_compute({.device = "cpu"})->kind(), "cpu");
  EXPECT_THAT([] { choose_compute({.device = "cuda"}); },
              throws_words<DeviceError>({"expected the CUDA backend at", "libferula_cuda.so", "FERULA_CUDA=ON"}));
}

/// One made-up GPU a rank, whose memory the host cannot touch.
class FarBackend final : public ComputeBackend {
 public:
  std::string_view kind() const override { return "far"; }
  bool computes_bf16() const override { return true; }
  const GpuInfo* gpu_of(const NodePlace& place) const override {
    return &gpus_.at(static_cast<std::size_t>(place.rank_on_node));
  }
  std::unique_ptr<Device> make_device(const NodePlace&, MemoryLedger& ledger) const override {
    return test::make_far_device(ledger);
  }
  std::unique_ptr<Ops> make_ops(Device& device) const override { return test::make_far_ops(device); }
  std::unique_ptr<Mesh::Transport> adapted(std::unique_ptr<Mesh::Transport> transport) const override {
    return make_device_transport(std::move(transport));
  }
  std::optional<std::int64_t> memory_for(const NodePlace& place) const override { return gpu_of(place)->memory_bytes; }
  const std::string& note() const override { return note_; }

 private:
  std::vector<GpuInfo> gpus_{gpu(0, "GPU-a"), gpu(1, "GPU-b")};
  std::string note_;
};

TEST(ComputeBackend, GivesRanksTheirDevicesOperationsAndGroups) {
  const FarBackend far;
  const NoStopRequest stop;
  const Invocation invocation{.command = "ferula test", .ranks = 2, .kind = RankKind::simulated, .stop = &stop};
  const RankSettings settings{.shape = {.shard = 2}, .overlap = Overlap::off, .compute = &far};

  run_on_ranks(invocation, settings, [](RankContext& context) {
    Execution& execution = context.execution;
    const std::vector<float> mine(64, static_cast<float>(context.mesh.rank() + 1));
    const test::OnDevice<float> values(execution.device, execution.compute, mine);
    execution.ops.add(execution.compute, values.view(), values.view());
    execution.communication.wait(execution.compute.record());
    context.mesh.world().all_reduce(execution.communication, values.view(), ReduceOp::sum);
    execution.communication.synchronize();
    execution.compute.wait(execution.communication.record());

    EXPECT_EQ(values.values(), std::vector<float>(64, 6.0f));  // 2 · 1 + 2 · 2
    EXPECT_EQ(execution.device.name(), "far:0");
    EXPECT_EQ(context.gpus.size(), 2u);
    return ExitCode::done;
  });
}

}  // namespace
}  // namespace ferula
