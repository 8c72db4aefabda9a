// What ranks of an MPI job see when one of them is late, gives up or differs; and what a long job leaves behind.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "comm/mpi_transport.hpp"
#include "support/message_of.hpp"
#include "support/ranks/job.hpp"

namespace ferula {
namespace {

using test::message_of;

TensorView view_of(std::vector<float>& values) {
  return {reinterpret_cast<std::byte*>(values.data()), DType::f32, {static_cast<std::int64_t>(values.size())}};
}

class Failures : public ::testing::TestWithParam<NodeTraffic> {
 protected:
  Mesh make_mesh(const MeshOptions& options) {
    return {
        make_mpi_transport(test::job(), {.within_node = GetParam()}), {.shard = test::job().size()}, *device_, options};
  }
  /// So that no test meets what an earlier one has left.
  void TearDown() override {
    Mesh mesh = make_mesh({});
    barrier(mesh.world(), *stream_);
  }

  MemoryLedger ledger_;
  std::unique_ptr<Device> device_ = make_cpu_device(ledger_);
  std::unique_ptr<Stream> stream_ = device_->make_stream();
};

INSTANTIATE_TEST_SUITE_P(Mpi, Failures, ::testing::Values(NodeTraffic::shared_memory, NodeTraffic::mpi),
                         [](const auto& each) { return each.param == NodeTraffic::mpi ? "mpi" : "shared_memory"; });

TEST_P(Failures, ALateRankIsAnErrorOnAllRanks) {
  if (test::job().size() == 1) return;
  const bool impatient = test::job().rank() == 0;
  Mesh mesh = make_mesh({.timeout = impatient ? std::chrono::milliseconds(200) : std::chrono::seconds(60)});
  Mesh aside = make_mesh({.timeout = std::chrono::seconds(60)});
  std::vector<float> word(1);
  if (mesh.rank() == 1) aside.world().receive(*stream_, view_of(word), 0);

  const std::string message = message_of<CommError>([&] { barrier(mesh.world(), *stream_); });
  if (impatient) aside.world().send(*stream_, view_of(word), 1);

  EXPECT_NE(message.find("all_reduce of group 'world'"), std::string::npos) << message;
  EXPECT_NE(message.find("rank 1 ("), std::string::npos) << message;
  EXPECT_NE(message.find(mesh.host()), std::string::npos) << message;
}

TEST_P(Failures, AnAbortReachesWaitingRanksWithItsReason) {
  if (test::job().size() == 1) return;
  Mesh mesh = make_mesh({.timeout = std::chrono::seconds(60)});
  if (mesh.rank() == 0) mesh.world().abort("the disk is full");

  const std::string message = message_of<CommError>([&] { barrier(mesh.world(), *stream_); });

  EXPECT_NE(message.find("the disk is full"), std::string::npos) << message;
}

TEST_P(Failures, DifferingCallsNameBothRanksAndOperations) {
  if (test::job().size() == 1) return;
  Mesh mesh = make_mesh({.check_collectives = true, .timeout = std::chrono::seconds(60)});
  std::vector<float> values(12);
  const TensorView view = view_of(values);

  const std::string message = message_of<CommError>([&] {
    if (mesh.rank() == 1) {
      mesh.shard().broadcast(*stream_, view, 0);
    } else {
      mesh.shard().all_reduce(*stream_, view, ReduceOp::sum);
    }
  });

  EXPECT_NE(message.find("rank 0 called all_reduce(f32 × 12, sum)"), std::string::npos) << message;
  EXPECT_NE(message.find("rank 1 called broadcast(f32 × 12, root 0)"), std::string::npos) << message;
}

std::int64_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return std::distance(begin(files), end(files));
}

std::int64_t mappings() {
  std::ifstream file("/proc/self/maps");
  std::int64_t lines = 0;
  for (std::string line; std::getline(file, line);) ++lines;
  return lines;
}

TEST_P(Failures, AThousandCollectivesLeaveFilesAndMappingsAlone) {
  Mesh mesh = make_mesh({.timeout = std::chrono::seconds(60)});
  std::vector<float> values(1003, 1.0f);
  Buffer buffer = mesh.data().allocate(4096, MemoryKind::buffers);
  const TensorView view = view_of(values);
  const auto rounds = [&](int count) {
    for (int round = 0; round < count; ++round) {
      mesh.data().all_reduce(*stream_, view, ReduceOp::max);
      mesh.data().all_reduce(*stream_, buffer.flat(DType::f32), ReduceOp::sum);
    }
  };
  rounds(50);
  const std::int64_t files = open_files(), maps = mappings();

  rounds(500);

  EXPECT_EQ(open_files(), files);
  EXPECT_LE(mappings(), maps + 2);  // the heap may be split once more
}

TEST(MpiEnvironment, IsOneAProcess) { EXPECT_THROW(MpiEnvironment(), CommError); }

}  // namespace
}  // namespace ferula
